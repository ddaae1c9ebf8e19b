"""Keyed batches that this process is committing."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Optional

from lakegate.lake.ledger.entries import Entry, Record, stream_entry
from lakegate.model import Acknowledgement, StreamPosition


@dataclass(eq=False, slots=True)
class InFlightBatch:
    """A keyed batch from its arrival to its outcome, whether its sender still waits or not.

    `outcome`: the acknowledgement, or None if the batch was refused or abandoned.
    `predecessor`: the batch before it in its stream, if that was in flight when this one arrived.
    `displaces`: the ledger's record of earlier claimants, whose lease is over.
    `lease_wait`: while the batch waits for another server's lease, the end of that wait.
    `lease_checks`: how often it has waited.
    `applied_digest`: once it is applied, the digest of the body that was.
    `in_doubt`: whether it has ended, and may or may not have been applied.
    """

    entry: Entry
    outcome: asyncio.Future[Acknowledgement | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    predecessor: Optional["InFlightBatch"] = None
    displaces: Record | None = None
    lease_wait: asyncio.Future[None] | None = None
    lease_checks: int = 0
    applied_digest: str = ""
    in_doubt: bool = False

    @property
    def failed(self) -> bool:
        """Whether it has ended without an acknowledgement."""
        return self.outcome.done() and self.outcome.result() is None

    @property
    def offset(self) -> int:
        """Its offset in its stream; -1 for a batch with an idempotency key."""
        return self.entry.position.offset if self.entry.position else -1

    def finish(self, acknowledgement: Acknowledgement | None, applied_digest: str = "") -> None:
        """Set the outcome; only the first call counts.

        `applied_digest`: the digest of another body that was applied instead of this one.
        """
        self.predecessor = None
        if not self.outcome.done():
            self.applied_digest = applied_digest or self.entry.body_digest
            self.outcome.set_result(acknowledgement)


class InFlightBatches:
    """The in-flight batches of one table, by the names of their entries."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_name: dict[str, InFlightBatch] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._by_name)

    def get(self, entry: Entry) -> InFlightBatch | None:
        """Return the batch of this entry."""
        return self._by_name.get(entry.name)

    def add(self, entry: Entry) -> InFlightBatch:
        """Add a batch; it is removed with its outcome."""
        batch = InFlightBatch(entry, predecessor=self.predecessor(entry))
        self._by_name[entry.name] = batch
        batch.outcome.add_done_callback(lambda _: self._by_name.pop(entry.name))
        return batch

    def predecessor(self, entry: Entry) -> InFlightBatch | None:
        """Return the batch before this entry in its stream."""
        position = entry.position
        if position is None or position.offset == 0:
            return None
        return self._at(replace(position, offset=position.offset - 1))

    def next_offset(self, stream_id: str, applied: int) -> int:
        """Return the offset after the applied batches of a stream, and those in flight."""
        position = StreamPosition(stream_id, applied)
        while (batch := self._at(position)) is not None and not batch.failed:
            position = replace(position, offset=position.offset + 1)
        return position.offset

    def _at(self, position: StreamPosition) -> InFlightBatch | None:
        return self.get(stream_entry(position))
