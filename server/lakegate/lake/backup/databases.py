"""Copies of the catalog and the ledger, of one moment, while servers use them.

A server claims a batch in the ledger before it commits it to the catalog, and settles it there
afterwards. The catalog is copied while nobody can write to the ledger, and the copy of the ledger
has what was in it then:

- an applied entry was settled before, so its commit is in the copied catalog;
- a batch without an entry was not claimed, so no commit of it is in the copied catalog;
- a pending entry is one of a commit that may be in the copied catalog: its snapshot is there then,
  because retention keeps the snapshots that pending entries name.

So the copies keep the promise of `docs/exactly-once.md`, as after a crash at that moment.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from lakegate.database.sqlite import BUSY_SECONDS
from lakegate.home import CATALOG, LEDGER


def copy_databases(home: Path, catalog: Path, ledger: Path) -> None:
    """Copy the catalog and the ledger of a home to the files `catalog` and `ledger`."""
    with _opened(home / LEDGER) as reader:
        with _no_writes(home / LEDGER):
            copy_database(home / CATALOG, catalog)
            # From here on the transaction reads what is in the ledger now.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        _copy(reader, ledger)


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that may be in use; replace the file `target`."""
    with _opened(source) as connection:
        _copy(connection, target)


def _copy(source: sqlite3.Connection, target: Path) -> None:
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        source.backup(copy)
        # One file, which can also be read where nobody can write.
        copy.execute("PRAGMA journal_mode=DELETE")


@contextmanager
def _no_writes(database: Path) -> Iterator[None]:
    """Hold the write lock of a database."""
    with _opened(database) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(database, timeout=BUSY_SECONDS, isolation_level=None)
    with closing(connection):
        yield connection
