"""PostgreSQL as the ledger and SQL catalogs use it: no wait for it is endless."""

from typing import Any

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 15
# What a stopped server has locked is free again before the statements that wait for it end.
IDLE_IN_TRANSACTION_SECONDS = 10

# Arguments of psycopg's `connect`.
CONNECT_ARGUMENTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": STATEMENT_SECONDS * 1000,
    "options": f"-c statement_timeout={STATEMENT_SECONDS}s"
    f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s",
}
