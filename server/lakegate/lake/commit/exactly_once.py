"""Admission of keyed batches to a group: each is replayed, refused, delayed or admitted.

    the lookup shows                      then
    applied                               its acknowledgement is replayed
    pending, with a lease that runs       it waits for the other server, and is queued again
    pending, with a lease that is over    it is admitted, and its claim displaces the earlier ones
    unknown                               it is admitted

A batch of a stream is admitted only behind batches that are applied or in flight.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from lakegate.concurrency.retry import backoff_seconds
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.commit.claims import Claims
from lakegate.lake.commit.in_flight_batch import InFlightBatch, InFlightBatches
from lakegate.lake.commit.lookup import BatchLookup, Lookup
from lakegate.lake.commit.queued_batch import QueuedBatch, keyed, refuse, unkeyed
from lakegate.lake.commit.replay import check_same_body
from lakegate.lake.failures import CATALOG_FAILURES, LedgerUnavailableError, as_lakegate_error
from lakegate.lake.ledger.entries import Entry
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.table.cached_table import CachedTable
from lakegate.model import Acknowledgement, StreamPosition

log = logging.getLogger(__name__)


class ExactlyOnce:
    """The keyed batches of one table in this process."""

    def __init__(
        self, table: CachedTable, ledger: Ledger, enqueue: Callable[[QueuedBatch], None]
    ) -> None:
        """Use `ledger`; `enqueue` queues a batch again after it has waited for a lease."""
        self.in_flight = InFlightBatches()
        # The tasks of batches that wait for the lease of another server.
        self.lease_waits: set[asyncio.Task[None]] = set()
        self._table = table
        self._ledger = ledger
        self._enqueue = enqueue
        self._lookup = BatchLookup(table, ledger, self.in_flight)

    async def admit(self, group: Sequence[QueuedBatch]) -> Sequence[QueuedBatch]:
        """Return the batches that may be prepared; answer the others, or delay them."""
        pairs = [(queued, queued.in_flight) for queued in group if queued.in_flight is not None]
        if not pairs:
            return group
        pairs.sort(key=lambda pair: pair[1].offset)  # each batch of a stream after its predecessor
        for _, in_flight in pairs:
            predecessor = self.in_flight.predecessor(in_flight.entry)
            in_flight.predecessor = predecessor or in_flight.predecessor
        try:
            lookup = await self._lookup.look_up([in_flight.entry for _, in_flight in pairs])
        except Exception as error:
            if not isinstance(error, (LedgerUnavailableError, *CATALOG_FAILURES)):
                log.exception("%s: the lookup of keyed batches failed", self._table.name)
            refuse(keyed(group), as_lakegate_error(error, self._table.name))
            return unkeyed(group)
        not_admitted = {
            queued
            for queued, in_flight in pairs
            if not self._admit_or_answer(queued, in_flight, lookup)
        }
        return [queued for queued in group if queued not in not_admitted]

    def claims(self, commit_id: str, rows: Sequence[tuple[QueuedBatch, int]]) -> Claims:
        """Return the claims of a commit of these batches and their numbers of rows."""
        return Claims(self._table, self._ledger, commit_id, rows)

    async def next_offset(self, stream_id: str) -> int:
        """Return the next offset of a stream."""
        return await self._lookup.next_offset(stream_id)

    def _admit_or_answer(
        self, queued: QueuedBatch, in_flight: InFlightBatch, lookup: Lookup
    ) -> bool:
        """Return whether the batch is admitted; otherwise answer it, or delay it."""
        record = lookup.records.get(in_flight.entry.name)
        if record is not None and record.replay is not None:
            _replay(queued, in_flight.entry, record.replay, record.claimants[-1].body_digest)
            return False
        if record is not None and record.lease_left_ms > 0:
            self._delay(queued, in_flight, _next_lease_check(in_flight, record.lease_left_ms))
            return False
        in_flight.displaces = record
        position = in_flight.entry.position
        return position is None or self._admit_in_order(queued, in_flight, position, lookup)

    def _admit_in_order(
        self,
        queued: QueuedBatch,
        in_flight: InFlightBatch,
        position: StreamPosition,
        lookup: Lookup,
    ) -> bool:
        """Return whether the batches before this one of its stream are applied or in flight.

        The claim checks that they were applied. If they were not, this batch is admitted again.
        """
        applied = lookup.next_offsets[position.stream_id]
        if position.offset <= applied:
            return True
        predecessor = self.in_flight.predecessor(in_flight.entry) or in_flight.predecessor
        if predecessor is None or predecessor.failed:
            queued.refuse(self._out_of_range(position, applied))
            return False
        if predecessor.lease_wait is not None:
            self._delay(queued, in_flight, predecessor.lease_wait)
            return False
        return True

    def _out_of_range(self, position: StreamPosition, applied: int) -> LakegateError:
        """Return the refusal of a batch that would leave a gap in its stream."""
        expected = self.in_flight.next_offset(position.stream_id, applied)
        return LakegateError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"the stream goes on with offset {expected}, not with {position.offset}",
            metadata={"expected_offset": str(expected)},
        )

    def _delay(
        self, queued: QueuedBatch, in_flight: InFlightBatch, until: asyncio.Future[None]
    ) -> None:
        """Queue the batch again after `until`, or when its sender leaves."""
        in_flight.lease_wait = asyncio.get_running_loop().create_future()
        self.lease_waits.add(asyncio.create_task(self._enqueue_after(queued, in_flight, until)))

    async def _enqueue_after(
        self, queued: QueuedBatch, in_flight: InFlightBatch, until: asyncio.Future[None]
    ) -> None:
        either: set[asyncio.Future[Any]] = {queued.answer, until}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if in_flight.lease_wait is not None:
            in_flight.lease_wait.set_result(None)
            in_flight.lease_wait = None
        self._enqueue(queued)
        if task := asyncio.current_task():
            self.lease_waits.discard(task)


def _replay(
    queued: QueuedBatch, entry: Entry, acknowledgement: Acknowledgement, applied_digest: str
) -> None:
    try:
        check_same_body(queued.batch, entry, applied_digest)
    except LakegateError as error:
        queued.refuse(error)
    else:
        queued.acknowledge(acknowledgement, applied_digest)


def _next_lease_check(in_flight: InFlightBatch, lease_left_ms: int) -> asyncio.Future[None]:
    """Return a future that is done after a backoff, at the latest when the lease is over."""
    in_flight.lease_checks += 1
    seconds = min(backoff_seconds(in_flight.lease_checks), lease_left_ms / 1000)
    loop = asyncio.get_running_loop()
    check: asyncio.Future[None] = loop.create_future()
    loop.call_later(seconds, check.set_result, None)
    return check
