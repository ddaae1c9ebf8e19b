"""A budget of bytes that all bodies share: first they wait for room, then they are refused."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lakegate.errors import ErrorCode, LakegateError

RETRY_AFTER_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Hold:
    """A part of a budget, in bytes."""

    budget: "Budget"
    key: str
    size: int = 0

    async def grow(self, size: int, patience: float | None = None) -> None:
        """Hold at least `size` bytes; wait for them up to `patience` seconds.

        Raises `LakegateError` (overloaded).
        """
        if size > self.size:
            await self.budget.extend(self, size - self.size, patience)

    def move(self, key: str) -> None:
        """Count for another key from now on."""
        self.budget.move(self, key)

    def shrink(self, size: int) -> None:
        """Release what is held beyond `size` bytes."""
        if size < self.size:
            self.budget.give_back(self, self.size - size)


@dataclass(eq=False, slots=True)
class _Request:
    """A hold that waits for `more` bytes."""

    hold: Hold
    more: int
    granted: "asyncio.Future[None]"

    def refuse(self) -> None:
        if not self.granted.done():
            self.granted.set_exception(overloaded())


class Budget:
    """Bytes for many holders. Used from one event loop.

    Holders have keys. A key gets at most half of the budget, and keys take turns,
    so one that is flooded leaves room for the others. Who holds something already
    and needs more is served before who holds nothing: otherwise all could wait for
    one another. Where they do all the same, the one that asked last is refused.
    """

    def __init__(self, size: int) -> None:
        """Have `size` bytes to give. A hold may be larger; it is alone then."""
        self.size = size
        self.used = 0
        self._used_by: dict[str, int] = {}
        self._new: OrderedDict[str, deque[_Request]] = OrderedDict()
        self._growing: list[_Request] = []

    async def take(self, key: str, size: int, patience: float | None = None) -> Hold:
        """Hold `size` bytes for `key` until they are given back.

        Waits up to `patience` seconds for them. Raises `LakegateError` (overloaded).
        """
        hold = Hold(self, key)
        try:
            await hold.grow(size, patience)
        except BaseException:
            hold.shrink(0)  # a cancelled wait may have been granted
            raise
        return hold

    @asynccontextmanager
    async def hold(self, key: str, size: int, patience: float | None = None) -> AsyncIterator[Hold]:
        """Hold `size` bytes inside, as `take` does."""
        hold = await self.take(key, size, patience)
        try:
            yield hold
        finally:
            hold.shrink(0)

    async def extend(self, hold: Hold, more: int, patience: float | None = None) -> None:
        """Return `more` bytes to `hold`; see `Hold.grow`."""
        request = _Request(hold, more, asyncio.get_running_loop().create_future())
        if hold.size:
            self._growing.append(request)
        else:
            self._new.setdefault(hold.key, deque()).append(request)
        self._serve()
        if request.granted.done():
            return request.granted.result()
        try:
            async with asyncio.timeout(patience):
                await request.granted
        except TimeoutError:
            raise overloaded() from None
        finally:
            self._forget(request)

    def give_back(self, hold: Hold, size: int) -> None:
        """Take `size` bytes off `hold`."""
        self._add(hold, -size)
        self._serve()

    def move(self, hold: Hold, key: str) -> None:
        """Count `hold` for another key."""
        size = hold.size
        self._add(hold, -size)
        hold.key = key
        self._add(hold, size)
        self._serve()  # its former key may have room now

    def _add(self, hold: Hold, size: int) -> None:
        hold.size += size
        self.used += size
        used = self._used_by.pop(hold.key, 0) + size
        if used:
            self._used_by[hold.key] = used

    def _forget(self, request: _Request) -> None:
        """Drop a request that waits no more, if it is still in a queue."""
        if request in self._growing:
            self._growing.remove(request)
        elif request in (queue := self._new.get(request.hold.key, deque())):
            queue.remove(request)
            if not queue:
                del self._new[request.hold.key]
        else:
            return
        self._serve()

    def _serve(self) -> None:
        """Grant what there is room for."""
        for request in list(self._growing):
            if self._fits(request):
                self._growing.remove(request)
                self._grant(request)
        if self._growing:
            if sum(request.hold.size for request in self._growing) == self.used:
                self._growing.pop().refuse()  # all wait for one another
            return
        while (key := self._next_key()) is not None:
            queue = self._new.pop(key)
            self._grant(queue.popleft())
            if queue:
                self._new[key] = queue  # behind the other keys

    def _next_key(self) -> str | None:
        """Return the key whose turn it is, if there is room for what it asks for."""
        for key, queue in self._new.items():
            if self._has_share(queue[0]):
                # The next in turn is not overtaken while it waits for others to end.
                return key if self._fits(queue[0]) else None
        return None

    def _fits(self, request: _Request) -> bool:
        alone = self.used == request.hold.size
        return alone or self.used + request.more <= self.size

    def _has_share(self, request: _Request) -> bool:
        used = self._used_by.get(request.hold.key, 0)
        return used == 0 or used + request.more <= self.size // 2

    def _grant(self, request: _Request) -> None:
        if not request.granted.done():
            self._add(request.hold, request.more)
            request.granted.set_result(None)


def overloaded() -> LakegateError:
    """Refuse what there is no room for."""
    return LakegateError(
        ErrorCode.OVERLOADED,
        "the server has too much to do, and nothing was written: try again",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
