"""The ledger: one row for each batch with a key or a place in a stream. Every method blocks.

Leases are told by the database's clock alone, so servers need not agree on the
time. A lease only says how long to wait for another server; nothing breaks
when it is over too early (see `once`).
"""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Row,
    and_,
    case,
    cast,
    column,
    delete,
    exists,
    func,
    literal,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from lakegate import clock
from lakegate.database.engine import DatabaseReplacedError, now_ms, open_engine, transaction
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.entries import Claimant, CommitResult, Entry, Record, TableIdentity
from lakegate.lake.ledger.schema import ENTRIES, LedgerTooNewError, migrate
from lakegate.model import StreamPosition

# How many names one statement asks for: databases bound the parameters of a statement.
NAMES_AT_ONCE = 1000

_E = ENTRIES.c
# Word for word as the partial index has it, so that the index is used.
_PENDING = text("NOT applied")


class ClaimConflictError(Exception):
    """Another claim is in the way, or a stream would have a gap: nothing was claimed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An entry to be claimed for a commit that has `rows` rows of it.

    `displaces`: the record, its lease over, that the claim takes the place of.
    """

    entry: Entry
    rows: int
    displaces: Record | None = None


class Ledger:
    """The ledger at one SQLAlchemy URL. Raises `LedgerUnavailableError` where it does not answer.

    Nothing is asked of the database before the first call, so a server starts without it.
    """

    def __init__(self, url: str, lease_seconds: float = 0.0) -> None:
        """Use the database at `url`; a claim is left alone for `lease_seconds`."""
        self._engine = open_engine(url)
        self._lease_ms = round(lease_seconds * 1000)
        self._silent_until = float("-inf")
        self._migration = threading.Lock()
        self._migrated = False

    def look_up(self, table: TableIdentity, names: Sequence[str]) -> dict[str, Record]:
        """Return what is known of the entries of these names; unknown ones are left out."""
        with self._transaction() as connection:
            return {
                row.name: _record(row)
                for some in _chunks(names)
                for row in connection.execute(
                    self._select_records().where(_of(table), _E.name.in_(some))
                )
            }

    def next_offsets(self, table: TableIdentity, streams: Iterable[str]) -> dict[str, int]:
        """Return the offset that each stream goes on with; 0 for an unknown one."""
        with self._transaction() as connection:
            return _next_offsets(connection, table, streams)

    def pending_of_stream(self, table: TableIdentity, stream_id: str) -> list[Record]:
        """Return the batches of a stream that may have been applied or not."""
        with self._transaction() as connection:
            rows = connection.execute(
                self._select_records().where(_of(table), _E.stream_id == stream_id, _PENDING)
            )
            return [_record(row) for row in rows]

    def claim(self, table: TableIdentity, commit_id: str, claims: Sequence[Claim]) -> None:
        """Claim all entries for a commit, or none.

        Raises `ClaimConflictError`.
        """
        # In one order everywhere, so that two servers cannot wait for each other.
        claims = sorted(claims, key=lambda claim: claim.entry.name)
        with self._transaction(writes=True) as connection:
            _check_streams(connection, table, [c.entry.position for c in claims])
            fresh = [claim for claim in claims if claim.displaces is None]
            if fresh:
                # Of an INSERT the number of rows is told on demand only.
                demand = {"preserve_rowcount": True}
                statement = self._insert(table, commit_id, fresh)
                result = connection.execute(statement, execution_options=demand)
                if result.rowcount < len(fresh):
                    raise ClaimConflictError
            for claim in claims:
                if claim.displaces is not None:
                    self._displace(connection, table, commit_id, claim, claim.displaces)

    def renew(self, table: TableIdentity, commit_id: str) -> int:
        """Renew the lease of a commit's claims; return how many it still has."""
        with self._transaction(writes=True) as connection:
            statement = (
                update(ENTRIES)
                .where(_of(table), _E.commit_id == commit_id, _PENDING)
                .values(lease_until_ms=now_ms() + self._lease_ms)
            )
            return connection.execute(statement).rowcount

    def abandon(self, table: TableIdentity, commit_id: str) -> None:
        """End the leases of a commit, so that others may take over its claims.

        The rows stay: the commit may have come through, or may still come through.
        """
        with self._transaction(writes=True) as connection:
            connection.execute(
                update(ENTRIES)
                .where(_of(table), _E.commit_id == commit_id, _PENDING)
                .values(lease_until_ms=0)
            )

    def settle(self, table: TableIdentity, commit_id: str, committed: CommitResult) -> None:
        """Note that a commit has come through, for every entry that it claimed."""
        with self._transaction(writes=True) as connection:
            connection.execute(
                update(ENTRIES)
                .where(_of(table), _E.commit_id == commit_id, _PENDING)
                .values(**_applied(committed))
            )

    def settle_found(
        self, table: TableIdentity, found: Iterable[tuple[Record, Claimant, CommitResult]]
    ) -> None:
        """Note of pending entries by which of their attempts they turned out to be applied."""
        with self._transaction(writes=True) as connection:
            for record, attempt, committed in found:
                connection.execute(
                    update(ENTRIES)
                    .where(_of(table), _E.name == record.entry.name, _PENDING)
                    .values(
                        commit_id=attempt.commit_id,
                        row_count=attempt.rows,
                        body_digest=attempt.body_digest,
                        **_applied(committed),
                    )
                )

    def pending_commits(self, table: TableIdentity) -> set[str]:
        """Get the ids of all commits that may still be looked for among the table's snapshots."""
        with self._transaction() as connection:
            rows = connection.execute(
                select(_E.commit_id, _E.displaced).where(_of(table), _PENDING).distinct()
            ).all()
        return {
            commit_id
            for row in rows
            for commit_id in (row.commit_id, *(each[0] for each in json.loads(row.displaced)))
        }

    def delete_expired(self, key_ttl_ms: int, stream_ttl_ms: int, limit: int) -> int:
        """Forget up to `limit` entries whose time is over; return how many.

        The last batch of a stream says where it goes on: it has a time of its own.
        """
        later = ENTRIES.alias()
        is_last = ~exists().where(
            later.c.database == _E.database,
            later.c.table_uuid == _E.table_uuid,
            later.c.stream_id == _E.stream_id,
            later.c.stream_offset > _E.stream_offset,
            later.c.applied,
        )
        over = and_(
            _E.claimed_ms < now_ms() - key_ttl_ms,
            _E.lease_until_ms < now_ms(),
            _E.stream_id.is_(None) | ~is_last | (_E.claimed_ms < now_ms() - stream_ttl_ms),
        )
        identity = (_E.database, _E.table_uuid, _E.name)
        chosen = select(*identity).where(over).order_by(_E.claimed_ms).limit(limit)
        with self._transaction(writes=True) as connection:
            return connection.execute(
                delete(ENTRIES).where(tuple_(*identity).in_(chosen), _E.lease_until_ms < now_ms())
            ).rowcount

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        began = clock.monotonic()
        if began < self._silent_until:
            raise LedgerUnavailableError("it did not answer a moment ago")
        try:
            self._migrate_once()
            with transaction(self._engine, writes=writes) as connection:
                yield connection
        except (DatabaseReplacedError, LedgerTooNewError) as error:
            raise LedgerUnavailableError(str(error)) from error
        except SQLAlchemyError as error:
            # A database that is silent is not asked by every group: those without keys wait too.
            self._silent_until = 2 * clock.monotonic() - began
            raise LedgerUnavailableError(_cause(error)) from error

    def _migrate_once(self) -> None:
        if self._migrated:
            return
        with self._migration:
            if not self._migrated:
                migrate(self._engine)
                self._migrated = True

    def _insert(self, table: TableIdentity, commit_id: str, claims: Sequence[Claim]) -> Insert:
        """Insert all rows from one parameter: binding those of each row would take longer."""
        postgres = self._engine.dialect.name == "postgresql"
        unpack = func.json_array_elements if postgres else func.json_each
        rows = literal([_row(claim) for claim in claims], JSON)
        value = unpack(rows).table_valued(column("value", JSON)).c.value
        columns: dict[str, ColumnElement[Any]] = {
            "database": literal(table.database),
            "table_uuid": literal(table.uuid),
            "name": value[0].as_string(),
            "stream_id": value[1].as_string(),
            "stream_offset": cast(value[2].as_string(), BigInteger),
            "applied": literal(value=False),
            "commit_id": literal(commit_id),
            "row_count": cast(value[3].as_string(), BigInteger),
            "displaced": literal("[]"),
            "claimed_ms": now_ms(),
            "lease_until_ms": now_ms() + self._lease_ms,
            "snapshot_id": literal(""),
            "extent_count": literal(0),
            "bytes_written": literal(0),
            "body_digest": value[4].as_string(),
        }
        # SQLite takes ON CONFLICT for a join where no WHERE is before it.
        chosen = select(*columns.values()).where(true())
        insert = postgresql.insert if postgres else sqlite.insert
        return insert(ENTRIES).from_select(list(columns), chosen).on_conflict_do_nothing()

    def _select_records(self) -> Any:  # noqa: ANN401 - a Select of many columns
        return select(
            _E.name,
            _E.stream_id,
            _E.stream_offset,
            _E.applied,
            _E.commit_id,
            _E.row_count,
            _E.displaced,
            self._lease_left_ms().label("lease_left_ms"),
            _E.snapshot_id,
            _E.extent_count,
            _E.bytes_written,
            _E.body_digest,
        )

    def _lease_left_ms(self) -> ColumnElement[int]:
        """Return how long a claim is left alone yet; not at all after the clock was set back.

        Then more seems to be left than a lease is long.
        """
        left = _E.lease_until_ms - now_ms()
        return case((left <= self._lease_ms, left), else_=0)

    def _displace(
        self,
        connection: Connection,
        table: TableIdentity,
        commit_id: str,
        claim: Claim,
        record: Record,
    ) -> None:
        """Take the place of a claimant whose lease is over; only one can."""
        statement = (
            update(ENTRIES)
            .where(
                _of(table),
                _E.name == claim.entry.name,
                _PENDING,
                _E.commit_id == record.claimants[-1].commit_id,
                self._lease_left_ms() <= 0,
            )
            .values(
                commit_id=commit_id,
                row_count=claim.rows,
                body_digest=claim.entry.body_digest,
                displaced=json.dumps([astuple(attempt) for attempt in record.claimants]),
                claimed_ms=now_ms(),
                lease_until_ms=now_ms() + self._lease_ms,
            )
        )
        if connection.execute(statement).rowcount == 0:
            raise ClaimConflictError


def _row(claim: Claim) -> list[Any]:
    position = claim.entry.position
    place = [position.stream_id, position.offset] if position else [None, None]
    return [claim.entry.name, *place, claim.rows, claim.entry.body_digest]


def _check_streams(
    connection: Connection, table: TableIdentity, positions: Iterable[StreamPosition | None]
) -> None:
    """Make sure that each stream goes on without a gap. Raises `ClaimConflictError`."""
    streams: dict[str, list[int]] = {}
    for position in positions:
        if position is not None:
            streams.setdefault(position.stream_id, []).append(position.offset)
    if not streams:
        return
    expected = _next_offsets(connection, table, streams)
    for stream_id, offsets in streams.items():
        for offset in sorted(offsets):
            if offset > expected[stream_id]:
                raise ClaimConflictError
            expected[stream_id] = max(expected[stream_id], offset + 1)


def _next_offsets(
    connection: Connection, table: TableIdentity, streams: Iterable[str]
) -> dict[str, int]:
    expected = dict.fromkeys(streams, 0)
    for some in _chunks(list(expected)):
        last = (
            select(_E.stream_id, func.max(_E.stream_offset).label("last"))
            .where(_of(table), _E.stream_id.in_(some), text("applied"))
            .group_by(_E.stream_id)
        )
        expected.update((row.stream_id, row.last + 1) for row in connection.execute(last))
    return expected


def _of(table: TableIdentity) -> ColumnElement[bool]:
    return and_(_E.database == table.database, _E.table_uuid == table.uuid)


def _record(row: Row[Any]) -> Record:
    position = StreamPosition(row.stream_id, row.stream_offset) if row.stream_id else None
    earlier = (Claimant(*attempt) for attempt in json.loads(row.displaced))
    return Record(
        entry=Entry(row.name, position),
        claimants=(*earlier, Claimant(row.commit_id, row.row_count, row.body_digest)),
        committed=CommitResult(row.snapshot_id, row.extent_count, row.bytes_written)
        if row.applied
        else None,
        lease_left_ms=row.lease_left_ms,
    )


def _applied(committed: CommitResult) -> dict[str, Any]:
    return {
        "applied": True,
        "snapshot_id": committed.snapshot_id,
        "extent_count": committed.extent_count,
        "bytes_written": committed.bytes_written,
    }


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), NAMES_AT_ONCE):
        yield names[start : start + NAMES_AT_ONCE]


def _cause(error: SQLAlchemyError) -> str:
    """Return the database's words without the statement, which holds what callers have sent."""
    words = str(getattr(error, "orig", None) or error).splitlines()
    return words[0] if words else type(error).__name__
