"""The ledger: an entry for each keyed batch, in one database table. Every method blocks.

Leases are measured by the clock of the database alone, so servers need not agree on the time.
A lease only sets how long to wait for another server; nothing breaks if it ends too early.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError

from lakegate import clock
from lakegate.database.engine import DatabaseReplacedError, now_ms, open_engine, transaction
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger import queries
from lakegate.lake.ledger.claiming import Claim, Claiming
from lakegate.lake.ledger.entries import Claimant, CommitResult, Record, TableIdentity
from lakegate.lake.ledger.queries import PENDING, E, in_table
from lakegate.lake.ledger.schema import ENTRIES, LedgerTooNewError, migrate


class Ledger:
    """The ledger at one SQLAlchemy URL. Raises `LedgerUnavailableError` if it does not answer.

    Nothing is sent to the database before the first call, so a server starts without it.
    """

    def __init__(self, url: str, lease_seconds: float = 0.0) -> None:
        """Use the database at `url`; claims have a lease of `lease_seconds`."""
        self._engine = open_engine(url)
        self._lease_ms = round(lease_seconds * 1000)
        self._unavailable_until = float("-inf")
        self._migration = threading.Lock()
        self._migrated = False

    def look_up(self, table: TableIdentity, names: Sequence[str]) -> dict[str, Record]:
        """Return the records of the entries of these names; unknown ones are left out."""
        with self._transaction() as connection:
            return queries.records_of_names(connection, table, names, self._lease_ms)

    def next_offsets(self, table: TableIdentity, streams: Iterable[str]) -> dict[str, int]:
        """Return the offset after the applied batches of each stream; 0 for an unknown one."""
        with self._transaction() as connection:
            return queries.next_offsets(connection, table, streams)

    def pending_of_stream(self, table: TableIdentity, stream_id: str) -> list[Record]:
        """Return the records of a stream's pending entries."""
        with self._transaction() as connection:
            return queries.pending_of_stream(connection, table, stream_id, self._lease_ms)

    def pending_commits(self, table: TableIdentity) -> set[str]:
        """Return the ids of all commits that pending entries name, displaced ones included."""
        with self._transaction() as connection:
            return queries.pending_commits(connection, table)

    def claim(self, table: TableIdentity, commit_id: str, claims: Sequence[Claim]) -> None:
        """Make all claims for a commit, or none. Raises `ClaimConflictError`."""
        with self._transaction(writes=True) as connection:
            Claiming(connection, table, commit_id, self._lease_ms).claim(claims)

    def renew(self, table: TableIdentity, commit_id: str) -> int:
        """Renew the leases of a commit; return how many claims it still has."""
        return self._update_pending(table, commit_id, lease_until_ms=now_ms() + self._lease_ms)

    def end_leases(self, table: TableIdentity, commit_id: str) -> None:
        """End the leases of a commit, so that others may displace its claims.

        The entries stay pending: the commit may have been applied, or may still be.
        """
        self._update_pending(table, commit_id, lease_until_ms=0)

    def settle(self, table: TableIdentity, commit_id: str, result: CommitResult) -> None:
        """Mark every entry that a commit has claimed as applied by it."""
        self._update_pending(table, commit_id, **_applied(result))

    def settle_found(
        self, table: TableIdentity, found: Iterable[tuple[Record, Claimant, CommitResult]]
    ) -> None:
        """Mark pending entries as applied, each by the claimant whose commit was found."""
        with self._transaction(writes=True) as connection:
            for record, claimant, result in found:
                connection.execute(
                    update(ENTRIES)
                    .where(in_table(table), E.name == record.entry.name, PENDING)
                    .values(
                        commit_id=claimant.commit_id,
                        row_count=claimant.rows,
                        body_digest=claimant.body_digest,
                        **_applied(result),
                    )
                )

    def delete_expired(self, key_ttl_ms: int, stream_ttl_ms: int, limit: int) -> int:
        """Delete up to `limit` entries that are older than their time to live; return how many.

        The last entry of a stream has the next offset of the stream, and a time to live of its own.
        """
        later = ENTRIES.alias()
        is_last = ~exists().where(
            later.c.database == E.database,
            later.c.table_uuid == E.table_uuid,
            later.c.stream_id == E.stream_id,
            later.c.stream_offset > E.stream_offset,
            later.c.applied,
        )
        expired = and_(
            E.claimed_ms < now_ms() - key_ttl_ms,
            E.lease_until_ms < now_ms(),
            E.stream_id.is_(None) | ~is_last | (E.claimed_ms < now_ms() - stream_ttl_ms),
        )
        identity = (E.database, E.table_uuid, E.name)
        chosen = select(*identity).where(expired).order_by(E.claimed_ms).limit(limit)
        with self._transaction(writes=True) as connection:
            return connection.execute(
                delete(ENTRIES).where(tuple_(*identity).in_(chosen), E.lease_until_ms < now_ms())
            ).rowcount

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def _update_pending(self, table: TableIdentity, commit_id: str, **values: Any) -> int:  # noqa: ANN401 - of any column
        """Update the pending entries that a commit has claimed; return how many there are."""
        with self._transaction(writes=True) as connection:
            statement = update(ENTRIES).where(in_table(table), E.commit_id == commit_id, PENDING)
            return connection.execute(statement.values(**values)).rowcount

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        began = clock.monotonic()
        if began < self._unavailable_until:
            raise LedgerUnavailableError("it did not answer a moment ago")
        try:
            self._migrate_once()
            with transaction(self._engine, writes=writes) as connection:
                yield connection
        except (DatabaseReplacedError, LedgerTooNewError) as error:
            raise LedgerUnavailableError(str(error)) from error
        except SQLAlchemyError as error:
            # Not every group waits for a database that does not answer: unkeyed batches wait too.
            self._unavailable_until = 2 * clock.monotonic() - began
            raise LedgerUnavailableError(_cause(error)) from error

    def _migrate_once(self) -> None:
        if self._migrated:
            return
        with self._migration:
            if not self._migrated:
                migrate(self._engine)
                self._migrated = True


def _applied(result: CommitResult) -> dict[str, Any]:
    return {
        "applied": True,
        "snapshot_id": result.snapshot_id,
        "extent_count": result.extent_count,
        "bytes_written": result.bytes_written,
    }


def _cause(error: SQLAlchemyError) -> str:
    """Return the database's message without the statement, which has data of callers."""
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__
