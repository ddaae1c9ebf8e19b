"""Something done again and again, beside everything else."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


class Periodic:
    """Calls a function about every so many seconds, on the event loop."""

    def __init__(self, interval_seconds: float, function: Callable[[], Awaitable[object]]) -> None:
        """Call `function`; an interval of 0 is never. What it raises is logged."""
        self._interval_seconds = interval_seconds
        self._function = function
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop; later calls do nothing."""
        if self._task is None and self._interval_seconds > 0:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what a thread is doing for the function is finished by that thread."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            # Servers that started together need not do this together.
            await asyncio.sleep(self._interval_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            try:
                await self._function()
            except Exception:
                log.exception("What is done again and again has failed; it is tried again later")
