"""Queries: entries as records, the next offsets of streams, the commits of pending entries."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, select, text

from lakegate.database.engine import now_ms
from lakegate.lake.ledger.entries import Claimant, CommitResult, Entry, Record, TableIdentity
from lakegate.lake.ledger.schema import ENTRIES
from lakegate.model import StreamPosition

# How many names one statement has: databases limit the parameters of a statement.
NAMES_AT_ONCE = 1000

E = ENTRIES.c
# Literally as in the partial index, so that the index is used.
PENDING = text("NOT applied")


def in_table(table: TableIdentity) -> ColumnElement[bool]:
    """Return the condition that an entry belongs to the table."""
    return and_(E.database == table.database, E.table_uuid == table.uuid)


def lease_left_ms(lease_ms: int) -> ColumnElement[int]:
    """Return how long a lease still runs, for leases of `lease_ms`.

    If more seems to be left than that, the clock was set back: then the lease is over.
    """
    left = E.lease_until_ms - now_ms()
    return case((left <= lease_ms, left), else_=0)


def records_of_names(
    connection: Connection, table: TableIdentity, names: Sequence[str], lease_ms: int
) -> dict[str, Record]:
    """Return the records of the entries of these names; unknown ones are left out."""
    return {
        row.name: _record(row)
        for some in _chunks(names)
        for row in connection.execute(
            _select_records(lease_ms).where(in_table(table), E.name.in_(some))
        )
    }


def pending_of_stream(
    connection: Connection, table: TableIdentity, stream_id: str, lease_ms: int
) -> list[Record]:
    """Return the records of a stream's pending entries."""
    rows = connection.execute(
        _select_records(lease_ms).where(in_table(table), E.stream_id == stream_id, PENDING)
    )
    return [_record(row) for row in rows]


def next_offsets(
    connection: Connection, table: TableIdentity, streams: Iterable[str]
) -> dict[str, int]:
    """Return the offset after the applied batches of each stream; 0 for an unknown one."""
    offsets = dict.fromkeys(streams, 0)
    for some in _chunks(list(offsets)):
        last = (
            select(E.stream_id, func.max(E.stream_offset).label("last"))
            .where(in_table(table), E.stream_id.in_(some), text("applied"))
            .group_by(E.stream_id)
        )
        offsets.update((row.stream_id, row.last + 1) for row in connection.execute(last))
    return offsets


def pending_commits(connection: Connection, table: TableIdentity) -> set[str]:
    """Return the ids of all commits that pending entries name, displaced ones included."""
    rows = connection.execute(
        select(E.commit_id, E.displaced).where(in_table(table), PENDING).distinct()
    )
    return {
        commit_id
        for row in rows
        for commit_id in (row.commit_id, *(each[0] for each in json.loads(row.displaced)))
    }


def _select_records(lease_ms: int) -> Any:  # noqa: ANN401 - a Select of many columns
    return select(
        E.name,
        E.stream_id,
        E.stream_offset,
        E.applied,
        E.commit_id,
        E.row_count,
        E.displaced,
        lease_left_ms(lease_ms).label("lease_left_ms"),
        E.snapshot_id,
        E.extent_count,
        E.bytes_written,
        E.body_digest,
    )


def _record(row: Row[Any]) -> Record:
    position = StreamPosition(row.stream_id, row.stream_offset) if row.stream_id else None
    displaced = (Claimant(*claimant) for claimant in json.loads(row.displaced))
    return Record(
        entry=Entry(row.name, position),
        claimants=(*displaced, Claimant(row.commit_id, row.row_count, row.body_digest)),
        result=CommitResult(row.snapshot_id, row.extent_count, row.bytes_written)
        if row.applied
        else None,
        lease_left_ms=row.lease_left_ms,
    )


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), NAMES_AT_ONCE):
        yield names[start : start + NAMES_AT_ONCE]
