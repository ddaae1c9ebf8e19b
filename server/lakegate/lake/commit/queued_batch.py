"""A batch in the queue of its table, and the answer that its sender waits for."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.commit.in_flight_batch import InFlightBatch
from lakegate.lake.failures import outcome_unknown
from lakegate.model import Acknowledgement, Batch, Decoder

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class QueuedBatch:
    """A batch from its arrival to its answer.

    `answer`: the future that the sender awaits.
    `in_flight`: for a keyed batch, what identifies it and its retries.
    `sent`: whether a commit with its rows may have reached the catalog.
    `in_doubt`: whether such a commit has ended without a known outcome, and may still be applied.
    """

    batch: Batch
    answer: asyncio.Future[Acknowledgement]
    in_flight: InFlightBatch | None = None
    sent: bool = False
    in_doubt: bool = False

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return len(self.batch.body.data)

    @property
    def unanswered(self) -> bool:
        """Whether the sender still waits for the answer."""
        return not self.answer.done()

    def acknowledge(self, acknowledgement: Acknowledgement, applied_digest: str = "") -> None:
        """Answer the sender, if it still waits; `applied_digest` as in `InFlightBatch.finish`."""
        if self.in_flight:
            self.in_flight.finish(acknowledgement, applied_digest)
        if self.unanswered:
            self.answer.set_result(acknowledgement)
        else:
            log.info(
                "%d rows are in snapshot %s of %s, but their sender is gone",
                acknowledgement.rows_ingested,
                acknowledgement.snapshot_id,
                self.batch.table,
            )

    def refuse(self, error: LakegateError) -> None:
        """Answer with a copy of `error`, if the sender still waits.

        A batch in doubt is refused with `outcome_unknown` instead.
        """
        if self.in_doubt:
            error = outcome_unknown()
        if self.in_flight and error.code is ErrorCode.OUTCOME_UNKNOWN:
            self.in_flight.in_doubt = True
        self.abandon()
        if self.unanswered:
            # Each `raise` adds to the traceback of an error.
            self.answer.set_exception(error.copy())

    def abandon(self) -> None:
        """End the batch without an outcome, so that a retry can be accepted."""
        if self.in_flight:
            self.in_flight.finish(None)


def by_decoder(batches: Iterable[QueuedBatch]) -> list[tuple[Decoder, list[QueuedBatch]]]:
    """Group batches by the object that decodes them, in the order of arrival."""
    groups: dict[int, tuple[Decoder, list[QueuedBatch]]] = {}
    for queued in batches:
        decoder = queued.batch.decoder
        groups.setdefault(id(decoder), (decoder, []))[1].append(queued)
    return list(groups.values())


def refuse(batches: Iterable[QueuedBatch], error: LakegateError) -> None:
    """Answer all batches with the same error."""
    for queued in batches:
        queued.refuse(error)


def keyed(batches: Iterable[QueuedBatch]) -> list[QueuedBatch]:
    """Return the batches with an idempotency key or a place in a stream."""
    return [queued for queued in batches if queued.in_flight is not None]


def unkeyed(batches: Iterable[QueuedBatch]) -> list[QueuedBatch]:
    """Return the batches without either: a retry of them is a new batch."""
    return [queued for queued in batches if queued.in_flight is None]
