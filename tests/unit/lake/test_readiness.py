"""Probes are bounded in time and shared, and a probe that hangs is not started again."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from tests.testing.passing_clock import PassingClock
from tests.testing.waiting import until

from lakegate.concurrency.workers import Workers
from lakegate.lake import readiness
from lakegate.lake.readiness import CACHE_SECONDS, Readiness


class Probe:
    """Waits until it is released, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.ended = 0
        self.release = threading.Event()

    def __call__(self) -> None:
        self.runs += 1
        self.release.wait()
        self.ended += 1


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers(4, 1)
    yield workers
    workers.close()


async def test_a_probe_that_hangs_counts_as_failed_and_is_not_started_again(
    workers: Workers, time: PassingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 0.01)
    hanging = Probe()
    checks = Readiness({"catalog": hanging, "ledger": lambda: None}, workers)
    for _ in range(3):
        assert await checks.failing() == ("catalog",)
        time.pass_(CACHE_SECONDS)
    assert hanging.runs == 1
    hanging.release.set()
    await until(lambda: hanging.ended == 1)
    await asyncio.sleep(0)
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 30)
    assert await checks.failing() == ()


async def test_a_result_is_used_for_a_while_and_shared(
    workers: Workers, time: PassingClock
) -> None:
    probe = Probe()
    probe.release.set()
    checks = Readiness({"storage": probe}, workers)
    assert await asyncio.gather(*(checks.failing() for _ in range(50))) == [()] * 50
    assert await checks.failing() == ()
    assert probe.runs == 1
    time.pass_(CACHE_SECONDS)
    await checks.failing()
    assert probe.runs == 2


async def test_a_failure_is_logged_once_and_so_is_its_end(
    workers: Workers, time: PassingClock, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[OSError] = [OSError("No space left on device")]

    def probe() -> None:
        for error in errors:
            raise error

    caplog.set_level("INFO")
    checks = Readiness({"storage": probe}, workers)
    for _ in range(3):
        assert await checks.failing() == ("storage",)
        time.pass_(CACHE_SECONDS)
    errors.clear()
    assert await checks.failing() == ()
    assert [record.message for record in caplog.records] == [
        "Not ready: storage: OSError: No space left on device",
        "Ready again",
    ]
