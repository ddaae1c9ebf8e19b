"""The ledger's database table, created and migrated by the first server that uses it."""

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
    text,
)

from lakegate.database.engine import exclusive_transaction

_METADATA = MetaData()

# An entry is pending or applied. While it is pending, `commit_id` and `displaced` name its
# claimants. `displaced` is JSON: `[[commit id, rows, body digest], …]`, the oldest first; those of
# older servers have no digest.
ENTRIES = Table(
    "lakegate_ledger",
    _METADATA,
    Column("database", Text, primary_key=True),
    Column("table_uuid", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("stream_id", Text),
    Column("stream_offset", BigInteger),
    Column("applied", Boolean, nullable=False),
    Column("commit_id", Text, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("displaced", Text, nullable=False),
    Column("claimed_ms", BigInteger, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("snapshot_id", Text, nullable=False),
    Column("extent_count", BigInteger, nullable=False),
    Column("bytes_written", BigInteger, nullable=False),
    Column("body_digest", Text, nullable=False),
)

VERSION = Table("lakegate_ledger_version", _METADATA, Column("version", Integer, nullable=False))

# The statements that lead from each version to the next. A released version is never changed.
MIGRATIONS: Sequence[Sequence[str]] = (
    (
        """
        CREATE TABLE lakegate_ledger (
            database TEXT NOT NULL,
            table_name TEXT NOT NULL,
            name TEXT NOT NULL,
            stream_id TEXT,
            stream_offset BIGINT,
            applied BOOLEAN NOT NULL,
            commit_id TEXT NOT NULL,
            row_count BIGINT NOT NULL,
            displaced TEXT NOT NULL,
            claimed_ms BIGINT NOT NULL,
            lease_until_ms BIGINT NOT NULL,
            snapshot_id TEXT NOT NULL,
            extent_count BIGINT NOT NULL,
            bytes_written BIGINT NOT NULL,
            PRIMARY KEY (database, table_name, name)
        )
        """,
        # For settling a commit, and for the commits that pending entries name.
        """
        CREATE INDEX lakegate_ledger_pending
            ON lakegate_ledger (database, table_name, commit_id) WHERE NOT applied
        """,
        # For the next offset of a stream.
        """
        CREATE INDEX lakegate_ledger_stream
            ON lakegate_ledger (database, table_name, stream_id, stream_offset)
            WHERE stream_id IS NOT NULL
        """,
        # For deleting expired entries.
        "CREATE INDEX lakegate_ledger_claimed ON lakegate_ledger (claimed_ms)",
    ),
    # A name may refer to another table later. Entries from before are never found again.
    ("ALTER TABLE lakegate_ledger RENAME COLUMN table_name TO table_uuid",),
    # A key that is used again with another body is detected.
    ("ALTER TABLE lakegate_ledger ADD COLUMN body_digest TEXT NOT NULL DEFAULT ''",),
)


class LedgerTooNewError(Exception):
    """The ledger was migrated by a newer Lakegate."""


def migrate(engine: Engine) -> None:
    """Migrate the database to the newest version; one server at a time.

    Raises `LedgerTooNewError`.
    """
    with exclusive_transaction(engine) as connection:
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise LedgerTooNewError(
                f"The ledger has version {version}; this server knows up to {len(MIGRATIONS)}."
            )
        for number in range(version, len(MIGRATIONS)):
            for statement in MIGRATIONS[number]:
                connection.execute(text(statement))
            connection.execute(VERSION.update().values(version=number + 1))


def _version(connection: Connection) -> int:
    """Return the version of the database; create the table for it in an empty one."""
    if not inspect(connection).has_table(VERSION.name):
        VERSION.create(connection)
        connection.execute(VERSION.insert().values(version=0))
    version: int = connection.execute(VERSION.select()).scalar_one()
    return version
