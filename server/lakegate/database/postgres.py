"""Timeouts of PostgreSQL, for the ledger and SQL catalogs."""

from typing import Any

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 15
# Less than STATEMENT_SECONDS: the locks of a stopped server are released before the statements
# that wait for them time out.
IDLE_IN_TRANSACTION_SECONDS = 10

# Arguments of psycopg's `connect`.
CONNECT_ARGUMENTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": STATEMENT_SECONDS * 1000,
    "options": f"-c statement_timeout={STATEMENT_SECONDS}s"
    f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s",
}


def with_driver(url: str) -> str:
    """Return an SQLAlchemy URL with the installed driver, where it names PostgreSQL without one."""
    scheme, separator, rest = url.partition("://")
    if scheme in {"postgres", "postgresql"}:
        scheme = "postgresql+psycopg"
    return f"{scheme}{separator}{rest}"
