"""A periodic function is called again, also after it has failed."""

import asyncio

import pytest

from lakegate.concurrency.periodic import Periodic

SECONDS = 0.001


async def test_a_failure_is_logged_and_the_next_time_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    times = 0
    again = asyncio.Event()

    async def fail_once() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise RuntimeError("the first time")
        again.set()

    periodic = Periodic(SECONDS, fail_once)
    periodic.start()
    periodic.start()
    async with asyncio.timeout(30):
        await again.wait()
    await periodic.stop()
    assert "the first time" in caplog.text


async def test_an_interval_of_zero_is_never() -> None:
    never = Periodic(0, asyncio.Event().wait)
    never.start()
    await never.stop()
    assert never._task is None
