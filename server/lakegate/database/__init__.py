"""SQLite and PostgreSQL, as the ledger, the tokens and SQL catalogs use them."""
