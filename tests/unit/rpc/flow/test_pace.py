"""A body may be slow, but it must not stop."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from tests.testing.passing_clock import PassingClock, passing_clock

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.pace import Pace

PACE = Pace(bytes_per_second=100, window_seconds=30)


@pytest.fixture
def time() -> Iterator[PassingClock]:
    with passing_clock() as clock:
        yield clock


async def body(
    time: PassingClock, pieces: Sequence[tuple[float, int]]
) -> AsyncIterator[tuple[str, bytes]]:
    """Yield pieces: each comes after so many seconds, and has so many bytes."""
    for seconds, size in pieces:
        time.pass_(seconds)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        yield "", bytes(size)


async def received(
    time: PassingClock, pieces: Sequence[tuple[float, int]], pace: Pace = PACE
) -> int:
    return sum([len(data) async for _, data in pace.checked(body(time, pieces))])


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([(1, 100)] * 1000, id="at the rate"),
        pytest.param([(29, 3000)] * 100, id="in bursts"),
        pytest.param([(0, 10**6), (29, 100)], id="a pause at the end"),
    ],
)
async def test_a_body_that_keeps_the_rate_over_the_window_is_received(
    time: PassingClock, pieces: Sequence[tuple[float, int]]
) -> None:
    assert await received(time, pieces) == sum(size for _, size in pieces)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([(1, 50)] * 100, id="at half the rate"),
        pytest.param([(29, 1000)] * 100, id="in bursts that are too small"),
        pytest.param([(0, 10**6), (29, 0), (29, 0), (1, 0)], id="much at first, then nothing"),
    ],
)
async def test_a_body_that_does_not_is_ended(
    time: PassingClock, pieces: Sequence[tuple[float, int]]
) -> None:
    with pytest.raises(LakegateError) as refusal:
        await received(time, pieces)
    assert refusal.value.code is ErrorCode.REQUEST_TIMEOUT
    assert refusal.value.message == (
        "the body arrived at less than 100 bytes a second for 30 seconds"
    )


async def test_time_in_which_nobody_reads_is_not_the_senders(time: PassingClock) -> None:
    async for _ in PACE.checked(body(time, [(1, 1)] * 10)):
        time.pass_(3600)  # no memory, for example


async def test_a_rate_of_zero_is_no_limit(time: PassingClock) -> None:
    assert await received(time, [(3600, 1)] * 3, Pace(0)) == 3
