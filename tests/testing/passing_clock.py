"""Time that passes when a test says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from lakegate import clock
from lakegate.clock import SystemClock

HOUR = 3600.0
DAY = 24 * HOUR


class PassingClock(SystemClock):
    """The clocks of the system, ahead by what `pass_` adds up to."""

    def __init__(self) -> None:
        self._passed = 0.0

    def pass_(self, seconds: float) -> None:
        self._passed += seconds

    def monotonic(self) -> float:
        return super().monotonic() + self._passed

    def now_ms(self) -> int:
        return super().now_ms() + round(self._passed * 1000)


@contextmanager
def passing_clock() -> Iterator[PassingClock]:
    """Install a clock that passes, for a time."""
    passing = PassingClock()
    before = clock.install(passing)
    try:
        yield passing
    finally:
        clock.install(before)
