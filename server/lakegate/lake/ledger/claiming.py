"""Claims: the statements that make a commit the claimant of entries."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    cast,
    column,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from lakegate.database.engine import now_ms
from lakegate.lake.ledger.entries import Entry, Record, TableIdentity
from lakegate.lake.ledger.queries import PENDING, E, in_table, lease_left_ms, next_offsets
from lakegate.lake.ledger.schema import ENTRIES
from lakegate.model import StreamPosition


class ClaimConflictError(Exception):
    """Another claim exists, or a stream would have a gap: nothing was claimed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of an entry for a commit that has `rows` rows of it.

    `displaces`: the record, its lease over, whose claimants are displaced.
    """

    entry: Entry
    rows: int
    displaces: Record | None = None


@dataclass(frozen=True, slots=True)
class Claiming:
    """The claims of one commit, in one transaction."""

    connection: Connection
    table: TableIdentity
    commit_id: str
    lease_ms: int

    def claim(self, claims: Sequence[Claim]) -> None:
        """Make all claims. Raises `ClaimConflictError`; the transaction is then rolled back."""
        # In the same order on all servers, so that two of them cannot deadlock.
        claims = sorted(claims, key=lambda claim: claim.entry.name)
        self._check_streams([claim.entry.position for claim in claims])
        fresh = [claim for claim in claims if claim.displaces is None]
        if fresh:
            # SQLAlchemy counts the rows of an INSERT on demand only.
            counted = {"preserve_rowcount": True}
            result = self.connection.execute(self._insert(fresh), execution_options=counted)
            if result.rowcount < len(fresh):
                raise ClaimConflictError
        for claim in claims:
            if claim.displaces is not None:
                self._displace(claim, claim.displaces)

    def _check_streams(self, positions: Iterable[StreamPosition | None]) -> None:
        """Raise `ClaimConflictError` unless each stream continues without a gap."""
        streams: dict[str, list[int]] = {}
        for position in positions:
            if position is not None:
                streams.setdefault(position.stream_id, []).append(position.offset)
        if not streams:
            return
        expected = next_offsets(self.connection, self.table, streams)
        for stream_id, offsets in streams.items():
            for offset in sorted(offsets):
                if offset > expected[stream_id]:
                    raise ClaimConflictError
                expected[stream_id] = max(expected[stream_id], offset + 1)

    def _insert(self, claims: Sequence[Claim]) -> Insert:
        """Return a statement that inserts all rows from one JSON parameter.

        One parameter for each value would take longer to bind.
        """
        postgres = self.connection.dialect.name == "postgresql"
        unpack = func.json_array_elements if postgres else func.json_each
        rows = literal([_row(claim) for claim in claims], JSON)
        value = unpack(rows).table_valued(column("value", JSON)).c.value
        columns: dict[str, ColumnElement[Any]] = {
            "database": literal(self.table.database),
            "table_uuid": literal(self.table.uuid),
            "name": value[0].as_string(),
            "stream_id": value[1].as_string(),
            "stream_offset": cast(value[2].as_string(), BigInteger),
            "applied": literal(value=False),
            "commit_id": literal(self.commit_id),
            "row_count": cast(value[3].as_string(), BigInteger),
            "displaced": literal("[]"),
            "claimed_ms": now_ms(),
            "lease_until_ms": now_ms() + self.lease_ms,
            "snapshot_id": literal(""),
            "extent_count": literal(0),
            "bytes_written": literal(0),
            "body_digest": value[4].as_string(),
        }
        # Without a WHERE, SQLite parses ON CONFLICT as a join condition.
        chosen = select(*columns.values()).where(true())
        insert = postgresql.insert if postgres else sqlite.insert
        return insert(ENTRIES).from_select(list(columns), chosen).on_conflict_do_nothing()

    def _displace(self, claim: Claim, record: Record) -> None:
        """Displace a claimant whose lease is over. Raises `ClaimConflictError` if another did."""
        statement = (
            update(ENTRIES)
            .where(
                in_table(self.table),
                E.name == claim.entry.name,
                PENDING,
                E.commit_id == record.claimants[-1].commit_id,
                lease_left_ms(self.lease_ms) <= 0,
            )
            .values(
                commit_id=self.commit_id,
                row_count=claim.rows,
                body_digest=claim.entry.body_digest,
                displaced=json.dumps([astuple(claimant) for claimant in record.claimants]),
                claimed_ms=now_ms(),
                lease_until_ms=now_ms() + self.lease_ms,
            )
        )
        if self.connection.execute(statement).rowcount == 0:
            raise ClaimConflictError


def _row(claim: Claim) -> list[Any]:
    position = claim.entry.position
    place = [position.stream_id, position.offset] if position else [None, None]
    return [claim.entry.name, *place, claim.rows, claim.entry.body_digest]
