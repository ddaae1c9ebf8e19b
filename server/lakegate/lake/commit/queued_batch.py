"""The batches of a group commit: batches that wait, each for its own answer."""

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
    """A batch and the future that its sender waits for.

    `in_flight`: where the batch is to be applied once, what is known of that.
    `sent`: whether a commit with its rows may have reached the catalog.
    `in_doubt`: whether such a commit was given up, and may still come through.
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
    def waiting(self) -> bool:
        """Whether the sender is still there and unanswered."""
        return not self.answer.done()

    def acknowledge(self, acknowledgement: Acknowledgement, applied_digest: str = "") -> None:
        """Answer, unless the sender is gone; `applied_digest` as in `InFlightBatch.end`."""
        if self.in_flight:
            self.in_flight.end(acknowledgement, applied_digest)
        if self.waiting:
            self.answer.set_result(acknowledgement)
        else:
            log.info(
                "%d rows are in snapshot %s of %s, but their sender is gone",
                acknowledgement.rows_ingested,
                acknowledgement.snapshot_id,
                self.batch.table,
            )

    def refuse(self, error: LakegateError) -> None:
        """Answer with an error of its own, unless the sender is gone."""
        if self.in_doubt:
            error = outcome_unknown()
        if self.in_flight and error.code is ErrorCode.OUTCOME_UNKNOWN:
            self.in_flight.in_doubt = True
        self.leave()
        if self.waiting:
            self.answer.set_exception(_copy(error))

    def leave(self) -> None:
        """Abandon the batch; its retry may take its place."""
        if self.in_flight:
            self.in_flight.end(None)


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
    """Return the batches whose retry can be told from a new batch."""
    return [queued for queued in batches if queued.in_flight is not None]


def unkeyed(batches: Iterable[QueuedBatch]) -> list[QueuedBatch]:
    """Return the batches whose retry cannot be told from a new batch."""
    return [queued for queued in batches if queued.in_flight is None]


def _copy(error: LakegateError) -> LakegateError:
    """Copy the error for each sender: a traceback grows where one is raised."""
    return LakegateError(
        error.code,
        error.message,
        violations=error.violations,
        retry_after_seconds=error.retry_after_seconds,
        metadata=error.metadata,
    )
