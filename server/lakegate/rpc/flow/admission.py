"""The memory that bodies may take: a body is read when there is memory for it, and not before.

Until then HTTP/2 flow control holds its sender back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from lakegate.concurrency.budget import Budget, Reservation
from lakegate.concurrency.shares import Owner
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.memory_guard import Kind, MemoryGuard, watermark
from lakegate.rpc.flow.pace import Pace
from lakegate.settings import Settings

# Of the memory for bodies, the part that is set aside for small ones.
SPARE_PART = 16
# A message is a body and what surrounds it: names, keys, tags.
MESSAGE_OVERHEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Admission:
    """Reserves memory for bodies.

    `max_body_bytes`: the largest body. `patience_seconds`: how long a request waits for memory.
    `read_seconds`: how long a body may take to arrive, and `pace`: how fast it must.
    `guard`: ends what arrives without a reservation.
    """

    budget: Budget
    max_body_bytes: int
    patience_seconds: float
    read_seconds: float
    pace: Pace
    guard: MemoryGuard

    @classmethod
    def of(cls, settings: Settings) -> "Admission":
        """Take half of the memory budget for bodies; the other half is for decoding them."""
        size = settings.memory_budget // 2
        return cls(
            Budget(size, spare=size // SPARE_PART),
            settings.max_body_bytes,
            settings.admission_wait_seconds,
            settings.read_timeout_seconds,
            Pace(settings.min_body_bytes_per_second),
            MemoryGuard(watermark(settings)),
        )

    @property
    def unknown(self) -> int:
        """The bytes to reserve for a message whose size is not known before it is there.

        As much as it may take, but on a small budget not so much that nothing else could be read.
        """
        return min(self.max_body_bytes, self.budget.size // 4)

    def reserving(
        self, owner: Owner, size: int, announced: int = 0
    ) -> AbstractAsyncContextManager[Reservation]:
        """Reserve `size` bytes inside. Raises `LakegateError` (overloaded)."""
        return self.budget.reserving(owner, size, self.patience_seconds, announced)

    async def reserve_arrived(self, owner: Owner, size: int) -> Reservation:
        """Reserve `size` bytes for a message of a stream, which is there already.

        Waits for as long as it takes. Raises `LakegateError` (overloaded) where memory runs
        out meanwhile.
        """
        with self.guard.watched(Kind.ARRIVED, size):
            return await self.budget.reserve(owner, size)

    async def grow(self, reservation: Reservation, size: int) -> None:
        """Reserve more. Raises `LakegateError` (overloaded)."""
        await reservation.grow(size, self.patience_seconds)

    def check_size(self, size: int, largest: int | None = None) -> None:
        """Refuse a body that is larger than `largest` bytes, or than any may be."""
        largest = largest or self.max_body_bytes
        if size > largest:
            raise LakegateError(
                ErrorCode.BODY_TOO_LARGE,
                f"the body is larger than {largest} bytes: split it into smaller batches",
            )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read a body inside. Raises `LakegateError` (request_timeout) where it takes too long."""
        try:
            async with asyncio.timeout(self.read_seconds):
                yield
        except TimeoutError:
            raise LakegateError(
                ErrorCode.REQUEST_TIMEOUT,
                f"the body did not arrive within {self.read_seconds:g} seconds",
            ) from None
