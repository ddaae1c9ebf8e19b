"""A retry loop makes as many attempts as its policy allows, ever further apart."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.testing.passing_clock import PassingClock

from lakegate import clock
from lakegate.concurrency.retry import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    RetryPolicy,
    backoff_seconds,
)


class SleepingClock(PassingClock):
    """A clock on which a sleep takes no time, and is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_(seconds)


@pytest.fixture
def time() -> Iterator[SleepingClock]:
    sleeping = SleepingClock()
    before = clock.install(sleeping)
    yield sleeping
    clock.install(before)


def test_a_backoff_is_half_fixed_and_doubles_up_to_the_longest() -> None:
    for failures in (1, 2, 5, 8, 2000):
        ceiling = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(failures - 1, 50))
        waits = {backoff_seconds(failures) for _ in range(100)}
        assert ceiling / 2 <= min(waits) < max(waits) <= ceiling


def test_the_attempts_are_counted_and_wait_only_in_between(time: SleepingClock) -> None:
    assert list(RetryPolicy(3).attempts()) == [1, 2, 3]
    assert len(time.slept) == 2
    assert FIRST_BACKOFF_SECONDS / 2 <= time.slept[0] <= FIRST_BACKOFF_SECONDS
    assert FIRST_BACKOFF_SECONDS <= time.slept[1] <= 2 * FIRST_BACKOFF_SECONDS


def test_a_policy_without_backoff_does_not_wait(time: SleepingClock) -> None:
    assert list(RetryPolicy(3, backoff=False).attempts()) == [1, 2, 3]
    assert time.slept == []


def test_no_attempt_begins_after_the_deadline(time: SleepingClock) -> None:
    numbers = []
    for number in RetryPolicy(10, deadline_seconds=60).attempts():
        numbers.append(number)
        time.pass_(40)  # as an attempt takes that waits for a lock
    assert numbers == [1, 2]


def test_the_first_attempt_is_made_whatever_the_policy() -> None:
    assert list(RetryPolicy(0, deadline_seconds=-1).attempts()) == [1]


async def test_attempts_on_the_event_loop_do_not_block_it(
    time: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    awaited = []

    async def sleep(seconds: float) -> None:
        awaited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert [number async for number in RetryPolicy(3).attempts()] == [1, 2, 3]
    assert len(awaited) == 2
    assert time.slept == []
