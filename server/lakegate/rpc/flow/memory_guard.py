"""Ends what callers send when the process has more memory than it may.

gRPC takes in a whole message as soon as somebody waits for one, and a stream always
does: how much of a message is there already does not show. The memory of the process does.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import Context
from enum import IntEnum, auto

from lakegate.concurrency.budget import overloaded
from lakegate.concurrency.memory import memory_limit, resident_memory, return_free_memory
from lakegate.settings import Settings
from lakegate.settings.units import MIB

# How often the memory is looked at, at most: a fast network brings tens of MiB meanwhile.
LOOK_SECONDS = 0.025
# It comes no faster than this, in bytes a second: far from the watermark looks are rarer.
FASTEST = 4096 * MIB
# What the process has with its libraries after the first requests: 202 MiB, measured.
RESTING_BYTES = 208 * MIB
# The largest body takes so many times its size while it is decoded, on a budget that is too
# small for it: 490 MiB in all were measured for 64 MiB.
LARGEST_BODIES = 3
# A message of this size keeps the event loop from looking for a while, in bytes.
LARGE_BYTES = MIB
# So many looks, about 10 seconds, tell that what is left is not what callers send.
LOOKS_IN_VAIN = 400

_log = logging.getLogger("lakegate.rpc")


class Kind(IntEnum):
    """What a caller may have in memory: the higher, the sooner it is ended."""

    HELD = auto()  # a message on its way that has room in the budget, if its caller is honest
    FREE = auto()  # the next message of a stream: it may be of any size, or not on its way
    ARRIVED = auto()  # a message that waits for room


class _Watched:
    """A task that waits inside this context. `size`: the bytes of it that are known.

    Raises `LakegateError` (overloaded) where it was ended; made as `asyncio.timeout` is.
    """

    __slots__ = ("_cancelling", "_ended", "_guard", "_task", "kind", "look", "size")

    def __init__(self, guard: "MemoryGuard", kind: Kind, size: int) -> None:
        self.kind = kind
        self.size = size
        self._guard = guard
        self._ended = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be ended")
        self._task = task
        self._cancelling = task.cancelling()
        # How many looks there were before.
        self.look = self._guard.add(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._guard.remove(self)
        if (
            kind is asyncio.CancelledError
            and self._ended
            and self._task.uncancel() <= self._cancelling
        ):
            raise overloaded() from None

    def end(self) -> None:
        self._ended = True
        self._task.cancel()


class MemoryGuard:
    """Looks at the memory while callers send. Used from one event loop."""

    def __init__(
        self,
        watermark: int,
        resident: Callable[[], int] = resident_memory,
        give_back: Callable[[], None] = return_free_memory,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """Let the process have `watermark` bytes.

        `resident` gives the bytes it has, `give_back` returns what is free of them
        and may block.
        """
        self._watermark = watermark
        self._line = watermark
        self._resident = resident
        self._give_back = give_back
        self._look_seconds = look_seconds
        self._looks = 0
        self._in_vain = 0
        # In the order in which they began.
        self._watched: dict[_Watched, None] = {}
        self._watching: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="memory")
        self._giving_back: Future[None] | None = None

    def watched(self, kind: Kind, size: int = 0) -> AbstractContextManager[None]:
        """Wait inside for what a caller sends, or for room for its `size` bytes.

        Raises `LakegateError` (overloaded) where that has to end.
        """
        return _Watched(self, kind, size)

    def add(self, each: _Watched) -> int:
        """Watch; give the number of looks there were before."""
        self._watched[each] = None
        if self._watching is None:  # in no call's context
            self._watching = asyncio.create_task(self._watch(), context=Context())
        return self._looks

    def remove(self, each: _Watched) -> None:
        """Watch no more."""
        self._watched.pop(each, None)

    def arrived(self, size: int) -> None:
        """Look once more where a large message has come: others may have come with it."""
        if size >= LARGE_BYTES and (resident := self._resident()) > self._line:
            self._end_half(resident)

    async def _watch(self) -> None:
        while self._watched:
            distance = self._watermark - self._resident()
            await asyncio.sleep(max(self._look_seconds, distance / FASTEST))
            self.look()
        self._watching = None

    def look(self) -> None:
        """Look at the memory once: if there is too much, end half of what is watched."""
        resident = self._resident()
        if resident > self._watermark * 3 // 4:
            self._return_free_memory()
        if resident <= self._watermark:
            self._line = self._watermark
        if resident <= self._line:
            self._in_vain = 0
        elif self._in_vain < LOOKS_IN_VAIN:
            self._in_vain += 1
            self._end_half(resident)
        else:  # it helps nobody to refuse everybody for ever
            self._in_vain = 0
            self._line = resident + self._watermark // 4
            _log.error("%d MiB of memory, and refusing callers does not help", resident // MIB)
        self._looks += 1

    def _return_free_memory(self) -> None:
        """Do it beside the event loop, which has no time to lose."""
        if self._giving_back is None or self._giving_back.done():
            self._giving_back = self._thread.submit(self._give_back)

    def _end_half(self, resident: int) -> None:
        """End half of what is watched.

        First what is known to be large; last what has been there for less than a look, and can
        have brought little; of equals those that began last: idle streams began before.
        """

        def burden(each: _Watched) -> tuple[Kind, int, bool]:
            return each.kind, each.size, each.look < self._looks

        newest_first = reversed(list(self._watched))
        heaviest_first = sorted(newest_first, key=burden, reverse=True)
        ended = heaviest_first[: (len(heaviest_first) + 1) // 2]
        for each in ended:
            del self._watched[each]
            each.end()
        if ended:
            _log.warning("%d MiB of memory: %d callers are refused", resident // MIB, len(ended))


def watermark(settings: Settings) -> int:
    """Return the bytes that the process may have before callers are refused.

    The budget, and what the process needs beside it; not all that the container may have.
    """
    needed = settings.memory_budget + RESTING_BYTES + LARGEST_BODIES * settings.max_body_bytes
    return min(needed, memory_limit() * 3 // 4)
