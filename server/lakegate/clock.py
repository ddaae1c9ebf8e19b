"""The clocks of the process, in one place so that a simulation can replace them."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the process reads time from, and waits by in worker threads."""

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary point. They pass in suspend, too."""
        ...

    def now_ms(self) -> int:
        """Return the wall-clock time in milliseconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def monotonic(self) -> float:
        """Read the clock that counts suspended time, where the system has one.

        `time.monotonic` stops on Linux while the machine is suspended: a server that wakes
        up would take files for young that other servers have deleted as orphans.
        """
        return time.clock_gettime(_INCLUDING_SUSPEND)

    def now_ms(self) -> int:
        """Read the wall clock."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


_INCLUDING_SUSPEND: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_clock: Clock = SystemClock()


def install(clock: Clock) -> Clock:
    """Use `clock` from now on, and return the clock that was used before."""
    global _clock
    before, _clock = _clock, clock
    return before


def monotonic() -> float:
    """Return the seconds since an arbitrary point; see `Clock.monotonic`."""
    return _clock.monotonic()


def now_ms() -> int:
    """Return the wall-clock time in milliseconds since the epoch."""
    return _clock.now_ms()


def sleep(seconds: float) -> None:
    """Block the calling thread for `seconds`."""
    _clock.sleep(seconds)
