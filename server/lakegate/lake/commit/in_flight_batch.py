"""A batch on its way that is to be applied once."""

import asyncio
from dataclasses import dataclass, field
from typing import Optional

from lakegate.lake.ledger.entries import Entry, Record
from lakegate.model import Acknowledgement


@dataclass(eq=False, slots=True)
class InFlightBatch:
    """What this process knows of such a batch.

    `outcome`: what becomes of it, whether its sender still waits or not: the
    acknowledgement, or None where it is refused or given up.
    `after`: the batch before it in its stream, where that is on its way too.
    `displaces`: the ledger's record of a claimant that may be gone.
    `applied_digest`: the digest of the body that was applied, once there is one.
    `in_doubt`: it has ended, and may or may not have been applied.
    `aside`: while it waits for another server, the end of that; it has waited `waits` times.
    """

    entry: Entry
    outcome: asyncio.Future[Acknowledgement | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    after: Optional["InFlightBatch"] = None
    displaces: Record | None = None
    aside: asyncio.Future[None] | None = None
    waits: int = 0
    applied_digest: str = ""
    in_doubt: bool = False

    @property
    def failed(self) -> bool:
        """Whether it has ended, and was not applied."""
        return self.outcome.done() and self.outcome.result() is None

    def end(self, acknowledgement: Acknowledgement | None, applied_digest: str = "") -> None:
        """Set the outcome; only the first call counts.

        `applied_digest`: of another body, where that was applied instead of this one.
        """
        self.after = None
        if not self.outcome.done():
            self.applied_digest = applied_digest or self.entry.body_digest
            self.outcome.set_result(acknowledgement)
