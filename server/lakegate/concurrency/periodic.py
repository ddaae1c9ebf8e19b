"""A function called periodically on the event loop."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Periodic:
    """Calls a function about every `interval_seconds`."""

    def __init__(self, interval_seconds: float, function: Callable[[], Awaitable[object]]) -> None:
        """Call `function`, or never if the interval is 0. Errors that it raises are logged."""
        self._interval_seconds = interval_seconds
        self._function = function
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start on the running event loop; later calls do nothing."""
        if self._task is None and self._interval_seconds > 0:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; a worker thread that runs for the function is not interrupted."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            # Jitter, so that servers that started together do not run this at the same time.
            await asyncio.sleep(self._interval_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            try:
                await self._function()
            except Exception:
                log.exception("A periodic task failed; it runs again later")
