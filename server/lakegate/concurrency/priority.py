"""Priority of lone batches over the shared commits of busy tables.

Both use the same processors. A shared commit that begins a little later includes more batches;
a sender of one batch at a time only waits longer.
"""

import asyncio
import contextlib
from typing import TypeVar

# The longest wait of a step of a shared commit.
LONGEST_WAIT_SECONDS = 0.05

Answer = TypeVar("Answer")


class Priority:
    """Counts the batches that are preferred. Used from one event loop."""

    def __init__(self) -> None:
        """Start with none."""
        self._preferred = 0
        self._none_preferred = asyncio.Event()

    def prefer(self, answer: asyncio.Future[Answer]) -> None:
        """Prefer a batch until it is answered, or its sender leaves."""
        self._preferred += 1
        self._none_preferred.clear()
        answer.add_done_callback(self._finished)

    def _finished(self, _answer: asyncio.Future[Answer]) -> None:
        self._preferred -= 1
        if not self._preferred:
            self._none_preferred.set()

    async def yield_turn(self) -> None:
        """Wait until no batch is preferred, for `LONGEST_WAIT_SECONDS` at most."""
        if self._preferred:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                    await self._none_preferred.wait()
