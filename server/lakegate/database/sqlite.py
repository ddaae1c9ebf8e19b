"""SQLite for several processes: readers are not blocked by a writer, and commits are durable."""

import sqlite3
import time

# How long a connection waits for another process to release the write lock.
BUSY_SECONDS = 15
_RETRY_SECONDS = 0.01


def prepare_connection(connection: sqlite3.Connection) -> None:
    """Configure a new connection: a write-ahead log that is synced before a commit returns.

    Raises `sqlite3.OperationalError` if the database stays locked.
    """
    _enable_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _enable_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Enable the log. On a new file SQLite refuses concurrent attempts without waiting."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return
