"""PostgreSQL as the ledger and SQL catalogs use it: no wait for it is endless."""

from typing import Any

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 15

# Arguments of psycopg's `connect`.
CONNECT_ARGUMENTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": STATEMENT_SECONDS * 1000,
    "options": f"-c statement_timeout={STATEMENT_SECONDS}s",
}
