"""Batches with a key or a place in a stream, as they come to a table: replayed, held, let on."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakegate.concurrency.retry import backoff_seconds
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.commit.candidate import Candidate
from lakegate.lake.commit.claims import Claims
from lakegate.lake.commit.group import Member, refuse
from lakegate.lake.failures import CATALOG_FAILURES, LedgerUnavailableError, as_lakegate_error
from lakegate.lake.ledger.entries import (
    Attempt,
    Entry,
    Record,
    TableIdentity,
    commits_of,
    committed_by,
    stream_entry,
)
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.table.cached_table import CachedTable
from lakegate.model import Acknowledgement, Batch, StreamPosition

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the ledger and the table say of a group: records by name, next offsets by stream.

    `table`: which table that is; None for a missing one.
    """

    table: TableIdentity | None
    records: Mapping[str, Record]
    expected: Mapping[str, int]


class ExactlyOnce:
    """What one process knows of the batches of one table that are to be applied once."""

    def __init__(
        self, table: CachedTable, ledger: Ledger, gather: Callable[[Member], None]
    ) -> None:
        """Use `ledger`; batches that had to wait are gathered again by `gather`."""
        self._table = table
        self._ledger = ledger
        self._gather = gather
        self._under_way: dict[str, Candidate] = {}
        # The tasks of batches that wait for another server.
        self.waiting: set[asyncio.Task[None]] = set()

    def first_of(self, entry: Entry) -> Candidate | None:
        """Return the same batch where it is on its way in this process already."""
        return self._under_way.get(entry.name)

    def enter(self, entry: Entry) -> Candidate:
        """Take note of a batch that begins its way."""
        candidate = Candidate(entry, after=self._before(entry))
        self._under_way[entry.name] = candidate
        candidate.fate.add_done_callback(lambda _: self._under_way.pop(entry.name))
        return candidate

    async def admit(self, group: Sequence[Member]) -> Sequence[Member]:
        """Return the members that may be prepared; answer the others, or let them wait."""
        candidates = sorted(
            (_offset(m.candidate), number, m, m.candidate)
            for number, m in enumerate(group)
            if m.candidate is not None
        )
        if not candidates:
            return group
        for *_, candidate in candidates:
            candidate.after = self._before(candidate.entry) or candidate.after
        try:
            known = await self._look_up([candidate.entry for *_, candidate in candidates])
        except Exception as error:
            if not isinstance(error, (LedgerUnavailableError, *CATALOG_FAILURES)):
                log.exception("The ledger of %s failed", self._table.name)
            refusal = as_lakegate_error(error, self._table.name)
            refuse([member for _, _, member, _ in candidates], refusal)
            return [member for member in group if member.candidate is None]
        held = {
            number
            for _, number, member, candidate in candidates
            if not self._let_on(member, candidate, known)
        }
        return [member for number, member in enumerate(group) if number not in held]

    def claims(self, commit_id: str, rows: Sequence[tuple[Member, int]]) -> Claims:
        """Return the claims of a commit of these members and their numbers of rows."""
        return Claims(self._table, self._ledger, commit_id, rows)

    async def next_offset(self, stream_id: str) -> int:
        """Return the offset that a stream goes on with; what a crash left open is looked up."""
        await self._table.was_replaced()
        table, run = await self._identity(), self._table.workers.run
        if table is None:
            return 0
        if pending := await run(self._ledger.pending_of_stream, table, stream_id):
            await self._find(table, pending)
        return (await run(self._ledger.next_offsets, table, [stream_id]))[stream_id]

    @property
    def idle(self) -> bool:
        """Whether no batch is on its way."""
        return not self._under_way

    def _before(self, entry: Entry) -> Candidate | None:
        position = entry.position
        if position is None or position.offset == 0:
            return None
        before = StreamPosition(position.stream_id, position.offset - 1)
        return self._under_way.get(stream_entry(before).name)

    async def _look_up(self, entries: Sequence[Entry]) -> _Known:
        known = await self._ask(entries)
        replays = any(record.replay for record in known.records.values())
        # Before a batch is replayed or refused: the rows of a former table went with it.
        if (replays or self._leaves_gap(entries, known)) and await self._table.was_replaced():
            known = await self._ask(entries)
        pending = [record for record in known.records.values() if record.committed is None]
        if known.table is None or not pending:
            return known
        found = await self._find(known.table, pending)
        return replace(known, records={**known.records, **found})

    def _leaves_gap(self, entries: Sequence[Entry], known: _Known) -> bool:
        """Whether a batch is ahead of its stream, and none before it is on its way."""
        return any(
            entry.position is not None
            and entry.position.offset > known.expected[entry.position.stream_id]
            and self._before(entry) is None
            for entry in entries
        )

    async def _ask(self, entries: Sequence[Entry]) -> _Known:
        return await self._table.workers.run(self._read, await self._identity(), entries)

    async def _identity(self) -> TableIdentity | None:
        state = await self._table.state()
        return TableIdentity.of(self._table.name, state.metadata) if state else None

    def _read(self, table: TableIdentity | None, entries: Sequence[Entry]) -> _Known:
        """Read the ledger. Blocks."""
        streams = {entry.position.stream_id for entry in entries if entry.position}
        if table is None:
            return _Known(None, {}, dict.fromkeys(streams, 0))
        expected = self._ledger.next_offsets(table, streams) if streams else {}
        records = self._ledger.look_up(table, [entry.name for entry in entries])
        forgotten = [
            entry
            for entry in entries
            if entry.position
            and entry.position.offset < expected[entry.position.stream_id]
            and entry.name not in records
        ]
        records |= self._without_counts(table, forgotten, expected)
        return _Known(table, records, expected)

    def _without_counts(
        self, table: TableIdentity, forgotten: Sequence[Entry], expected: Mapping[str, int]
    ) -> dict[str, Record]:
        """Return records of batches that were swept: the last of their stream tells of them.

        Its snapshot has their rows too; how many they were is not known any more.
        """
        last = {
            entry.name: stream_entry(
                StreamPosition(entry.position.stream_id, expected[entry.position.stream_id] - 1)
            ).name
            for entry in forgotten
            if entry.position
        }
        records = self._ledger.look_up(table, list(set(last.values())))
        return {
            name: replace(records[of], attempts=(Attempt("", rows=0),))
            for name, of in last.items()
            if of in records
        }

    async def _find(self, table: TableIdentity, pending: Sequence[Record]) -> dict[str, Record]:
        """Search the snapshots for the commits of pending records; settle those found."""
        self._table.forget()
        state = await self._table.state()
        commits = commits_of(state.metadata) if state else {}
        found = [
            (record, attempt, committed_by(commits[attempt.commit_id]))
            for record in pending
            for attempt in record.attempts
            if attempt.commit_id in commits
        ]
        if found:
            run = self._table.workers.run
            await run(self._ledger.settle_found, table, found)
        return {
            record.entry.name: replace(record, attempts=(attempt,), committed=committed)
            for record, attempt, committed in found
        }

    def _let_on(self, member: Member, candidate: Candidate, known: _Known) -> bool:
        """Return whether the member may be prepared; otherwise answer it or set it aside."""
        record = known.records.get(candidate.entry.name)
        if record is not None and record.replay is not None:
            self._replay(member, record.replay, record.attempts[-1].body_digest)
            return False
        if record is not None and record.lease_left_ms > 0:
            self._set_aside(member, candidate, _a_while(candidate, record.lease_left_ms))
            return False
        candidate.displaces = record
        return candidate.entry.position is None or self._in_order(
            member, candidate, candidate.entry.position, known
        )

    def _replay(self, member: Member, replay: Acknowledgement, body_digest: str) -> None:
        entry = member.candidate.entry if member.candidate else None
        try:
            check_same_body(member.batch, entry, body_digest)
        except LakegateError as error:
            member.refuse(error)
        else:
            member.acknowledge(replay, body_digest)

    def _in_order(
        self, member: Member, candidate: Candidate, position: StreamPosition, known: _Known
    ) -> bool:
        """Return whether the batches before this one of its stream are applied or under way.

        Whether those come to anything is known when it is claimed. If not, it is back here.
        """
        expected = known.expected[position.stream_id]
        if position.offset <= expected:
            return True
        before = self._before(candidate.entry) or candidate.after
        if before is None or before.failed:
            member.refuse(self._out_of_range(position, expected))
            return False
        if before.aside is not None:
            self._set_aside(member, candidate, before.aside)
            return False
        return True

    def _out_of_range(self, position: StreamPosition, applied: int) -> LakegateError:
        """Refuse a batch that leaves a gap behind those that are applied or on their way."""
        expected = StreamPosition(position.stream_id, applied)
        while (there := self._under_way.get(stream_entry(expected).name)) and not there.failed:
            expected = replace(expected, offset=expected.offset + 1)
        return LakegateError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"the stream goes on with offset {expected.offset}, not with {position.offset}",
            metadata={"expected_offset": str(expected.offset)},
        )

    def _set_aside(self, member: Member, candidate: Candidate, end: asyncio.Future[None]) -> None:
        """Gather the member again at the `end`, or when its sender leaves."""
        candidate.aside = asyncio.get_running_loop().create_future()
        self.waiting.add(asyncio.create_task(self._come_back(member, candidate, end)))

    async def _come_back(
        self, member: Member, candidate: Candidate, end: asyncio.Future[None]
    ) -> None:
        either: set[asyncio.Future[Any]] = {member.answer, end}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if candidate.aside is not None:
            candidate.aside.set_result(None)
            candidate.aside = None
        self._gather(member)
        if task := asyncio.current_task():
            self.waiting.discard(task)


def _a_while(candidate: Candidate, lease_left_ms: int) -> asyncio.Future[None]:
    """Get a future that ends before the lease of another server, and the later the more often."""
    seconds = min(backoff_seconds(candidate.waits), lease_left_ms / 1000)
    candidate.waits += 1
    loop = asyncio.get_running_loop()
    end: asyncio.Future[None] = loop.create_future()
    loop.call_later(seconds, end.set_result, None)
    return end


def _offset(candidate: Candidate) -> int:
    return candidate.entry.position.offset if candidate.entry.position else -1


async def replayed(first: Candidate, batch: Batch, entry: Entry) -> Acknowledgement | None:
    """Wait for the first try of a batch and return what its retry gets; None where it failed.

    Raises as `check_same_body`.
    """
    await asyncio.wait({first.fate})
    acknowledgement = first.fate.result()
    if acknowledgement is None:
        return None
    check_same_body(batch, entry, first.applied_digest)
    return replace(acknowledgement, replayed=True)


def check_same_body(batch: Batch, entry: Entry | None, applied_digest: str) -> None:
    """Compare the body of a retry with the body that was applied under its key.

    Raises `LakegateError` (idempotency_key_reused) where they differ and the key binds the body;
    otherwise the body of the retry is ignored, and a warning is logged.
    """
    if entry is None or not (entry.body_digest and applied_digest):
        return
    if entry.body_digest == applied_digest:
        return
    if batch.key_binds_body:
        raise LakegateError(
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            "The idempotency key was used before with another body.",
        )
    log.warning(
        "%s: idempotency key %s was sent again with another body, which is ignored",
        batch.table,
        batch.idempotency_key,
    )
