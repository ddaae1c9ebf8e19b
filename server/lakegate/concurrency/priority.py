"""Who goes first: a batch that is alone at its table, before the shared commits of busy tables.

Both are work of the same processors. A shared commit that begins a little later takes
more batches with it; to a sender of one batch at a time, the same wait is all there is.
"""

import asyncio
import contextlib
from typing import TypeVar

# How long a step of a shared commit waits at most, however many go first.
LONGEST_WAIT_SECONDS = 0.05

Answer = TypeVar("Answer")


class Priority:
    """Counts the batches that go first. Used from one event loop."""

    def __init__(self) -> None:
        """Begin with none."""
        self._first = 0
        self._none_left = asyncio.Event()

    def prefer(self, answer: asyncio.Future[Answer]) -> None:
        """Prefer a batch until it is answered, or its sender is gone."""
        self._first += 1
        self._none_left.clear()
        answer.add_done_callback(self._take_back)

    def _take_back(self, _answer: asyncio.Future[Answer]) -> None:
        self._first -= 1
        if not self._first:
            self._none_left.set()

    async def yield_turn(self) -> None:
        """Wait until no batch goes first, but not for long."""
        if self._first:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                    await self._none_left.wait()
