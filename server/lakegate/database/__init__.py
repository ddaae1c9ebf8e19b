"""SQLite and PostgreSQL, for the ledger, tokens and SQL catalogs."""
