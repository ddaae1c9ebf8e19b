"""What the ledger and the table's snapshots show of keyed batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lakegate.lake.commit.in_flight_batch import InFlightBatches
from lakegate.lake.ledger.entries import (
    Claimant,
    Entry,
    Record,
    TableIdentity,
    commits_of,
    result_of,
    stream_entry,
)
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.table.cached_table import CachedTable
from lakegate.model import StreamPosition


@dataclass(frozen=True, slots=True)
class Lookup:
    """The records of batches by name, and the next offsets of their streams.

    `table`: the table that they belong to; None if it is missing.
    """

    table: TableIdentity | None
    records: Mapping[str, Record]
    next_offsets: Mapping[str, int]


class BatchLookup:
    """Looks up the batches of one table."""

    def __init__(self, table: CachedTable, ledger: Ledger, in_flight: InFlightBatches) -> None:
        """Read `ledger`; `in_flight` are the batches of this process."""
        self._table = table
        self._ledger = ledger
        self._in_flight = in_flight

    async def look_up(self, entries: Sequence[Entry]) -> Lookup:
        """Return what is known of the entries. Settles unsettled commits first."""
        found = await self._read(entries)
        replays = any(record.replay for record in found.records.values())
        # Before a batch is replayed or refused: the rows of a replaced table are gone.
        if (replays or self._gaps(entries, found)) and await self._table.was_replaced():
            found = await self._read(entries)
        if found.table is None:
            return found
        if gaps := self._gaps(entries, found):
            await self._settle_streams(found.table, gaps)
            found = await self._read(entries)
        pending = [record for record in found.records.values() if record.result is None]
        if found.table is None or not pending:
            return found
        settled = await self._settle_found(found.table, pending)
        return replace(found, records={**found.records, **settled})

    async def next_offset(self, stream_id: str) -> int:
        """Return the next offset of a stream, after settling the commits that were not."""
        await self._table.was_replaced()
        table = await self._identity()
        if table is None:
            return 0
        await self._settle_streams(table, [stream_id])
        run = self._table.workers.run
        return (await run(self._ledger.next_offsets, table, [stream_id]))[stream_id]

    def _gaps(self, entries: Sequence[Entry], found: Lookup) -> list[str]:
        """Return the streams with a batch past the next offset, and no predecessor in flight."""
        return [
            entry.position.stream_id
            for entry in entries
            if entry.position is not None
            and entry.position.offset > found.next_offsets[entry.position.stream_id]
            and self._in_flight.predecessor(entry) is None
        ]

    async def _read(self, entries: Sequence[Entry]) -> Lookup:
        return await self._table.workers.run(self._read_ledger, await self._identity(), entries)

    async def _identity(self) -> TableIdentity | None:
        state = await self._table.state()
        return TableIdentity.of(self._table.name, state.metadata) if state else None

    def _read_ledger(self, table: TableIdentity | None, entries: Sequence[Entry]) -> Lookup:
        """Read the ledger. Blocks."""
        streams = {entry.position.stream_id for entry in entries if entry.position}
        if table is None:
            return Lookup(None, {}, dict.fromkeys(streams, 0))
        next_offsets = self._ledger.next_offsets(table, streams) if streams else {}
        records = self._ledger.look_up(table, [entry.name for entry in entries])
        expired = [
            entry.position
            for entry in entries
            if entry.position
            and entry.position.offset < next_offsets[entry.position.stream_id]
            and entry.name not in records
        ]
        records |= self._records_of_expired(table, expired, next_offsets)
        return Lookup(table, records, next_offsets)

    def _records_of_expired(
        self,
        table: TableIdentity,
        expired: Sequence[StreamPosition],
        next_offsets: Mapping[str, int],
    ) -> dict[str, Record]:
        """Return records of applied batches whose entries have expired.

        They have the snapshot of the last batch of their stream; the number of rows is not known.
        """
        last = {
            stream_entry(position).name: stream_entry(
                replace(position, offset=next_offsets[position.stream_id] - 1)
            ).name
            for position in expired
        }
        records = self._ledger.look_up(table, list(set(last.values())))
        return {
            name: replace(records[of], claimants=(Claimant("", rows=0),))
            for name, of in last.items()
            if of in records
        }

    async def _settle_streams(self, table: TableIdentity, streams: Sequence[str]) -> None:
        """Settle the commits of streams that were made and not settled."""
        for stream_id in dict.fromkeys(streams):
            run = self._table.workers.run
            if pending := await run(self._ledger.pending_of_stream, table, stream_id):
                await self._settle_found(table, pending)

    async def _settle_found(
        self, table: TableIdentity, pending: Sequence[Record]
    ) -> dict[str, Record]:
        """Search the snapshots for commits of pending records; settle and return those found."""
        self._table.forget()
        state = await self._table.state()
        commits = commits_of(state.metadata) if state else {}
        found = [
            (record, claimant, result_of(commits[claimant.commit_id]))
            for record in pending
            for claimant in record.claimants
            if claimant.commit_id in commits
        ]
        if found:
            await self._table.workers.run(self._ledger.settle_found, table, found)
        return {
            record.entry.name: replace(record, claimants=(claimant,), result=result)
            for record, claimant, result in found
        }
