"""Hosts of callbacks and threads. A host can be suspended and killed."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any


class KilledError(BaseException):
    """Raised in code that runs on a dead host. Not caught by `except Exception`."""


class Host:
    """A process, or a machine, that can be suspended and killed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.suspended = False
        # The callbacks that became due while the host was suspended, in order.
        self.deferred: deque[Callback] = deque()

    def resume(self, run_soon: Callable[["Callback"], object]) -> None:
        """Run the callbacks that became due meanwhile, unless the host has died."""
        self.suspended = False
        while self.deferred and not self.dead:
            callback = self.deferred.popleft()
            if callback.handle is not None and not callback.handle.cancelled():
                run_soon(callback)


HOST: ContextVar[Host | None] = ContextVar("HOST", default=None)


class Callback:
    """A callback of a host."""

    __slots__ = ("args", "context", "function", "handle", "host")

    def __init__(self, host: Host, function: Any, args: Any, context: Context) -> None:
        self.host, self.function, self.args, self.context = host, function, args, context
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        if self.host.suspended or self.host.dead:
            self.host.deferred.append(self)
        else:
            self.function(*self.args)
