"""The database of the ledger and of tokens: SQLite or PostgreSQL, and its clock."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import BigInteger, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from lakegate import clock
from lakegate.database.postgres import CONNECT_ARGUMENTS, CONNECT_SECONDS
from lakegate.database.sqlite import BUSY_SECONDS, prepare_connection
from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import make_private

CONNECTIONS = 8
# An execution option: the transaction writes, so it takes SQLite's write lock at its
# beginning. To take it later fails where another writer came between.
_WRITES = "lakegate_writes"
# Any number that no other program locks in the same database.
_ADVISORY_LOCK = 5_123_487_001


class DatabaseReplacedError(SQLAlchemyError):
    """The file of an SQLite database was deleted or replaced while it was open."""


def open_engine(url: str) -> Engine:
    """Describe the database at an SQLAlchemy URL; nothing is asked of it yet.

    Raises `LakegateError` (invalid_argument) for one that cannot hold a ledger.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise _useless() from None  # the URL may hold a password
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return create_engine(
            parsed,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
            pool_size=CONNECTIONS,
            connect_args=CONNECT_ARGUMENTS,
        )
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"} or not parsed.database:
        raise _useless()
    make_private(Path(parsed.database).parent)
    engine = create_engine(parsed, pool_size=CONNECTIONS, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _connect_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    file = _File()
    event.listen(engine, "connect", file.opened)
    event.listen(engine, "begin", file.check)
    return engine


@contextmanager
def transaction(engine: Engine, *, writes: bool = False) -> Iterator[Connection]:
    """Open a transaction; it is committed at the end of the block. Raises `SQLAlchemyError`."""
    options = {_WRITES: writes}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def exclusive_transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that writes while no other server is in one like it."""
    with transaction(engine, writes=True) as connection:
        if engine.dialect.name == "postgresql":  # SQLite has one writer at a time
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        yield connection


def _useless() -> LakegateError:
    return LakegateError(
        ErrorCode.INVALID_ARGUMENT,
        "LAKEGATE_LEDGER_URL must be sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE",
    )


def _connect_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions
    connection.create_function("lakegate_now_ms", 0, clock.now_ms)
    # On the disk: a claim that a power failure takes back would let a batch in twice.
    prepare_connection(connection)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class _File:
    """The file of an SQLite database, as the first connection found it.

    Where it is deleted or replaced, open connections go on with the old one, and know nothing
    of what other servers claim in the new one.
    """

    def __init__(self) -> None:
        """Know no file yet."""
        self._path = ""  # stays empty for a database in memory
        self._first: tuple[int, int] | None = None

    def opened(self, connection: sqlite3.Connection, _record: object) -> None:
        """Note which file the first connection has opened."""
        if self._first is None:
            (_, _, self._path), *_ = connection.execute("PRAGMA database_list")
            self._first = self._now()

    def check(self, _connection: Connection) -> None:
        """Raise `DatabaseReplacedError` where the path names another file by now, or none."""
        if self._now() != self._first:
            raise DatabaseReplacedError("its file was replaced; restart the server")

    def _now(self) -> tuple[int, int] | None:
        try:
            file = Path(self._path).stat()
        except FileNotFoundError:
            return None
        return file.st_dev, file.st_ino


class now_ms(FunctionElement[int]):  # noqa: N801 - a SQL function
    """The database's clock, in milliseconds since the epoch: the one clock of all servers."""

    inherit_cache = True
    type = BigInteger()


@compiles(now_ms, "sqlite")
def _now_sqlite(_element: now_ms, _compiler: object, **_: object) -> str:
    return "lakegate_now_ms()"  # an SQLite database belongs to one machine, and so to one clock


@compiles(now_ms, "postgresql")
def _now_postgresql(_element: now_ms, _compiler: object, **_: object) -> str:
    # Not now(): that is when the transaction began, and it may have waited since.
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
