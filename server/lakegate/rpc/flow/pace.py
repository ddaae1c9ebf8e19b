"""Ends bodies that arrive too slowly."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from lakegate.clock import monotonic
from lakegate.errors import ErrorCode, LakegateError

# A body may pause for this long, if it was fast enough before.
WINDOW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The least rate of a body, in bytes a second, over a window; 0 is any rate."""

    bytes_per_second: float
    window_seconds: float = WINDOW_SECONDS

    async def checked(
        self, pieces: AsyncIterator[tuple[str, bytes]]
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the pieces of a body. Raises `LakegateError` (request_timeout).

        A leaky bucket of seconds: waiting for the sender spends them, its bytes earn them. The
        time between two calls is not the sender's, and costs nothing.
        """
        left = self.window_seconds
        while True:
            begun = monotonic()
            try:
                async with asyncio.timeout(left if self.bytes_per_second else None):
                    media_type, data = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise self._too_slow() from None
            left -= monotonic() - begun
            if self.bytes_per_second:
                left = min(self.window_seconds, left + len(data) / self.bytes_per_second)
            yield media_type, data
            del data  # not to be kept until the next has arrived

    def _too_slow(self) -> LakegateError:
        return LakegateError(
            ErrorCode.REQUEST_TIMEOUT,
            f"the body arrived at less than {self.bytes_per_second:g} bytes a second "
            f"for {self.window_seconds:g} seconds",
        )
