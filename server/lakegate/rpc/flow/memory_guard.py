"""Ends what callers send when the process has more memory than it may.

gRPC receives a whole message as soon as somebody waits for one, and a stream always does. How
much of a message has arrived is not visible. The memory of the process is.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from enum import IntEnum, auto

from lakegate.concurrency.memory import memory_limit, resident_memory, return_free_memory
from lakegate.rpc.flow.interruption import Interruptible
from lakegate.settings import Settings
from lakegate.settings.units import MIB

# How often the memory is checked, at most: a fast network brings tens of MiB meanwhile.
CHECK_SECONDS = 0.025
# Memory grows no faster than this, in bytes a second: far from the watermark checks are rarer.
FASTEST = 4096 * MIB
# What the process has with its libraries after the first requests: 202 MiB, measured.
RESTING_BYTES = 208 * MIB
# The largest body takes this many times its size while it is decoded, on a budget that is too
# small for it: 490 MiB in all were measured for 64 MiB.
LARGEST_BODIES = 3
# A message of this size keeps the event loop from checking for a while, in bytes.
LARGE_BYTES = MIB
# After this many checks, about 10 seconds, the memory that is left is not what callers send.
FUTILE_CHECKS = 400

_log = logging.getLogger("lakegate.rpc")


class Kind(IntEnum):
    """What a caller may have in memory: the higher, the sooner it is ended."""

    RESERVED = auto()  # a message that has a reservation, if its caller is honest
    UNRESERVED = auto()  # the next message of a stream: it may be of any size, or not on its way
    ARRIVED = auto()  # a message that waits for its reservation
    PUBLIC = auto()  # a message of somebody without a token


@dataclass(eq=False, slots=True)
class _Watched:
    """A wait for a caller. `size`: the bytes that are known. `begun_at`: the number of checks."""

    wait: Interruptible
    kind: Kind
    size: int
    begun_at: int


class MemoryGuard:
    """Checks the memory while callers send. Used from one event loop."""

    def __init__(
        self,
        watermark: int,
        resident: Callable[[], int] = resident_memory,
        release: Callable[[], None] = return_free_memory,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        """Allow the process `watermark` bytes.

        `resident` returns the bytes that it has. `release` returns unused memory to the system,
        and may block.
        """
        self._watermark = watermark
        self._limit = watermark
        self._resident = resident
        self._release = release
        self._check_seconds = check_seconds
        self._checks = 0
        self._futile_checks = 0
        # In the order in which they began.
        self._watched: dict[_Watched, None] = {}
        self._checking: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="memory")
        self._releasing: Future[None] | None = None

    @contextmanager
    def watched(self, kind: Kind, size: int = 0) -> Iterator[None]:
        """Wait inside for what a caller sends, or to reserve its `size` bytes.

        Raises `LakegateError` (overloaded) where that has to end.
        """
        with Interruptible() as wait:
            each = _Watched(wait, kind, size, self._checks)
            self._watched[each] = None
            if self._checking is None:  # in no call's context
                self._checking = asyncio.create_task(self._check_repeatedly(), context=Context())
            try:
                yield
            finally:
                self._watched.pop(each, None)

    def arrived(self, size: int) -> None:
        """Check once more where a large message has arrived: others may have come with it."""
        if size >= LARGE_BYTES and (resident := self._resident()) > self._limit:
            self._end_some(resident)

    async def _check_repeatedly(self) -> None:
        while self._watched:
            distance = self._watermark - self._resident()
            await asyncio.sleep(max(self._check_seconds, distance / FASTEST))
            self.check()
        self._checking = None

    def check(self) -> None:
        """Check the memory once: if there is too much, end some of what is watched."""
        resident = self._resident()
        if resident > self._watermark * 3 // 4:
            self._release_in_thread()
        if resident <= self._watermark:
            self._limit = self._watermark
        if resident <= self._limit:
            self._futile_checks = 0
        elif self._futile_checks < FUTILE_CHECKS:
            self._futile_checks += 1
            self._end_some(resident)
        else:  # it helps nobody to refuse everybody for ever
            self._futile_checks = 0
            self._limit = resident + self._watermark // 4
            _log.error("%d MiB of memory, and refusing callers does not help", resident // MIB)
        self._checks += 1

    def _release_in_thread(self) -> None:
        """Release memory beside the event loop, which must not block."""
        if self._releasing is None or self._releasing.done():
            self._releasing = self._thread.submit(self._release)

    def _end_some(self, resident: int) -> None:
        """End all messages of callers without a token; where there are none, half of the others.

        First those known to be large; last those that began after the last check, and can have
        brought little; of equals those that began last: idle streams began before.
        """

        def burden(each: _Watched) -> tuple[Kind, int, bool]:
            return each.kind, each.size, each.begun_at < self._checks

        newest_first = reversed(list(self._watched))
        heaviest_first = sorted(newest_first, key=burden, reverse=True)
        public = [each for each in heaviest_first if each.kind is Kind.PUBLIC]
        ended = public or heaviest_first[: (len(heaviest_first) + 1) // 2]
        for each in ended:
            del self._watched[each]
            each.wait.end()
        if ended:
            _log.warning("%d MiB of memory: %d callers are refused", resident // MIB, len(ended))


def watermark(settings: Settings) -> int:
    """Return the bytes that the process may have before callers are refused.

    The budget, and what the process needs beside it; not all that the container may have.
    """
    needed = settings.memory_budget + RESTING_BYTES + LARGEST_BODIES * settings.max_body_bytes
    return min(needed, memory_limit() * 3 // 4)
