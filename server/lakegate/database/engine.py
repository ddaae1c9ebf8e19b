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
from lakegate.database.postgres import CONNECT_ARGUMENTS, CONNECT_SECONDS, with_driver
from lakegate.database.sqlite import BUSY_SECONDS, prepare_connection
from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import make_private

CONNECTIONS = 8
# An execution option: the transaction writes, so it acquires SQLite's write lock when it begins.
# To acquire it later fails after a write of another connection.
_WRITES = "lakegate_writes"
# A number that no other program locks in the same database.
_ADVISORY_LOCK = 5_123_487_001


class DatabaseReplacedError(SQLAlchemyError):
    """The file of an SQLite database was deleted or replaced while it was open."""


def open_engine(url: str) -> Engine:
    """Return the engine of the database at an SQLAlchemy URL. Does not connect yet.

    Raises `LakegateError` (invalid_argument) for a URL that is not supported.
    """
    try:
        parsed = make_url(with_driver(url))
    except (ArgumentError, ValueError):  # the latter for a port that is not a number
        raise _unsupported() from None  # the URL may have a password
    if parsed.drivername == "postgresql+psycopg":
        return create_engine(
            parsed,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
            pool_size=CONNECTIONS,
            connect_args=CONNECT_ARGUMENTS,
        )
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"} or not parsed.database:
        raise _unsupported()
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
    """Run the block in a transaction. Raises `SQLAlchemyError`."""
    options = {_WRITES: writes}
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def exclusive_transaction(engine: Engine) -> Iterator[Connection]:
    """Run the block in a transaction that writes, exclusively among all servers."""
    with transaction(engine, writes=True) as connection:
        if engine.dialect.name == "postgresql":  # SQLite has one writer at a time
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        yield connection


def _unsupported() -> LakegateError:
    return LakegateError(
        ErrorCode.INVALID_ARGUMENT,
        "LAKEGATE_LEDGER_URL must be sqlite:///FILE or postgresql://USER@HOST/DATABASE",
    )


def _connect_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions
    connection.create_function("lakegate_now_ms", 0, clock.now_ms)
    # Durable: a claim that is lost in a power failure would let a batch be committed twice.
    prepare_connection(connection)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class _File:
    """The identity of the file of an SQLite database, when the first connection opened it.

    If the file is deleted or replaced, open connections still use the old one, and do not see the
    claims that other servers make in the new one.
    """

    def __init__(self) -> None:
        """Start before the first connection."""
        self._path = ""  # stays empty for a database in memory
        self._first: tuple[int, int] | None = None

    def opened(self, connection: sqlite3.Connection, _record: object) -> None:
        """Record the file that the first connection opened."""
        if self._first is None:
            (_, _, self._path), *_ = connection.execute("PRAGMA database_list")
            self._first = self._now()

    def check(self, _connection: Connection) -> None:
        """Raise `DatabaseReplacedError` if the path refers to another file now, or to none."""
        if self._now() != self._first:
            raise DatabaseReplacedError("the file of the database was replaced: restart the server")

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
    return "lakegate_now_ms()"  # all users of an SQLite database are on one machine, with one clock


@compiles(now_ms, "postgresql")
def _now_postgresql(_element: now_ms, _compiler: object, **_: object) -> str:
    # Not now(), which is the start of the transaction: it may have waited since.
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
