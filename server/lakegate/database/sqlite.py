"""SQLite as several processes share it: readers go on while one writes, and no commit is lost."""

import sqlite3
import time

# How long a connection waits for another process to release the write lock.
BUSY_SECONDS = 15
_RETRY_SECONDS = 0.01


def prepare_connection(connection: sqlite3.Connection) -> None:
    """Set up a new connection: a write-ahead log, on the disk before a commit returns.

    Raises `sqlite3.OperationalError` where the database stays locked.
    """
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the log on; on a new file SQLite refuses the second who tries, however long he waits."""
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
