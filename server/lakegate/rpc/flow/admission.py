"""What may be in memory: a body is read when there is room for it, and not before.

Until then HTTP/2 flow control holds its sender back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from lakegate.concurrency.budget import Budget, Hold
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.memory_guard import Kind, MemoryGuard, watermark
from lakegate.settings import Settings

# A message is a body and what surrounds it: names, keys, tags.
MESSAGE_OVERHEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Admission:
    """The room for bodies, and how patient it is.

    `budget`: the room. `max_body_bytes`: the largest body. `patience_seconds`: how
    long a request waits for room. `read_seconds`: how long a body may take to come.
    `guard`: ends what has come without room for it.
    """

    budget: Budget
    max_body_bytes: int
    patience_seconds: float
    read_seconds: float
    guard: MemoryGuard

    @classmethod
    def of(cls, settings: Settings) -> "Admission":
        """Reserve half of the budget for bodies; the other half is for decoding them."""
        return cls(
            Budget(settings.memory_budget // 2),
            settings.max_body_bytes,
            settings.admission_wait_seconds,
            settings.read_timeout_seconds,
            MemoryGuard(watermark(settings)),
        )

    @property
    def unknown(self) -> int:
        """The room for what shows its size only when it is there, in bytes.

        As much as it may take, but on a small budget not so much that it would be alone.
        """
        return min(self.max_body_bytes, self.budget.size // 4)

    def room(self, key: str, size: int) -> AbstractAsyncContextManager[Hold]:
        """Hold `size` bytes for `key`. Raises `LakegateError` (overloaded)."""
        return self.budget.hold(key, size, self.patience_seconds)

    async def keep(self, key: str, size: int) -> Hold:
        """Hold `size` bytes for a message of a stream, which is there already.

        Waits for as long as it takes. Raises `LakegateError` (overloaded) where memory runs
        out meanwhile.
        """
        with self.guard.watched(Kind.ARRIVED, size):
            return await self.budget.take(key, size)

    async def grow(self, hold: Hold, size: int) -> None:
        """Hold more. Raises `LakegateError` (overloaded)."""
        await hold.grow(size, self.patience_seconds)

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
        """Read a body inside. Raises `LakegateError` (request_timeout) where it does not come."""
        try:
            async with asyncio.timeout(self.read_seconds):
                yield
        except TimeoutError:
            raise LakegateError(
                ErrorCode.REQUEST_TIMEOUT,
                f"the body did not come within {self.read_seconds:g} seconds",
            ) from None
