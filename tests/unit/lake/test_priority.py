"""A batch that is alone at its table is preferred to the shared commits of other tables."""

import asyncio

import pytest
from tests.testing.lines import LinesDecoder, batch
from tests.testing.waiting import until

from lakegate.concurrency import priority as priority_module
from lakegate.concurrency.priority import Priority
from lakegate.lake.lake import Lake
from lakegate.model import TableName

QUIET = TableName("default", "quiet")


@pytest.fixture
def priority() -> Priority:
    return Priority()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority_module, "LONGEST_WAIT_SECONDS", 60.0)


def answer() -> asyncio.Future[object]:
    return asyncio.get_running_loop().create_future()


@pytest.mark.usefixtures("patient")
async def test_a_shared_commit_does_not_wait_if_no_batch_is_preferred(
    priority: Priority,
) -> None:
    await priority.yield_turn()


@pytest.mark.usefixtures("patient")
async def test_a_shared_commit_waits_until_the_last_preferred_batch_is_answered(
    priority: Priority,
) -> None:
    one, two = answer(), answer()
    priority.prefer(one)
    priority.prefer(two)
    waiting = asyncio.create_task(priority.yield_turn())
    one.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    two.set_exception(ValueError("refused"))
    await waiting
    assert two.exception() is not None


@pytest.mark.usefixtures("patient")
async def test_a_sender_that_has_left_delays_no_commit(priority: Priority) -> None:
    gone = answer()
    priority.prefer(gone)
    gone.cancel()
    await priority.yield_turn()


async def test_a_shared_commit_waits_for_a_limited_time(
    priority: Priority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(priority_module, "LONGEST_WAIT_SECONDS", 0.0)
    never = answer()
    priority.prefer(never)
    await priority.yield_turn()
    assert not never.done()


@pytest.mark.usefixtures("patient")
async def test_a_shared_commit_begins_when_a_lone_batch_of_another_table_is_answered(
    lake: Lake, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    yields = asyncio.Event()
    yield_turn = Priority.yield_turn

    async def recorded(priority: Priority) -> None:
        yields.set()
        await yield_turn(priority)

    monkeypatch.setattr(Priority, "yield_turn", recorded)
    events: list[str] = []
    busy = LinesDecoder()

    def flood() -> asyncio.Future[list[object]]:
        return asyncio.gather(*(lake.append(batch(busy, {"label": str(n)})) for n in range(3)))

    await flood()  # the table is busy from here on
    await lake.append(batch(decoder, {"label": "first"}, table=QUIET))
    busy.calls.clear()
    decoder.calls.clear()
    yields.clear()
    async with lake._committer(QUIET).table.lock:  # no commit of it can end
        lone = asyncio.ensure_future(lake.append(batch(decoder, {"label": "lone"}, table=QUIET)))
        lone.add_done_callback(lambda _: events.append(f"answered before {busy.calls}"))
        await until(lambda: bool(decoder.calls))
        flooded = flood()
        await yields.wait()
    await asyncio.gather(lone, flooded)
    assert events == ["answered before []"]
    assert busy.calls == [3]
