"""Waits that somebody else may end."""

import asyncio
from typing import Self

from lakegate.concurrency.budget import overloaded


class Interruptible:
    """A context that a task waits in until `end` is called, made as `asyncio.timeout` is.

    Raises `LakegateError` (overloaded) where it was ended.
    """

    __slots__ = ("_cancelling", "_ended", "_task")

    def __init__(self) -> None:
        """Prepare to wait."""
        self._ended = False

    def __enter__(self) -> Self:
        """Start the wait of the current task."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be ended")
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        """Turn the cancellation by `end` into the refusal."""
        if (
            kind is asyncio.CancelledError
            and self._ended
            and self._task.uncancel() <= self._cancelling
        ):
            raise overloaded() from None

    def end(self) -> None:
        """End the wait."""
        self._ended = True
        self._task.cancel()
