"""When the process has too much memory, what callers send ends, the likeliest culprits first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.memory_guard import FUTILE_CHECKS, LARGE_BYTES, Kind, MemoryGuard, watermark
from lakegate.settings import Settings
from lakegate.settings.units import MIB

WATERMARK = 1000
NEVER = 1e6


@dataclass
class Memory:
    """The memory of a process, set by a test."""

    size: int = 0
    free: int = 0

    def resident(self) -> int:
        return self.size

    def release(self) -> None:
        self.size -= self.free
        self.free = 0


class Callers:
    """Callers that the guard watches, by name."""

    def __init__(self, memory: Memory) -> None:
        self.guard = MemoryGuard(WATERMARK, memory.resident, memory.release, NEVER)
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str, kind: Kind = Kind.UNRESERVED, size: int = 0) -> None:
        """Make callers begin to wait, one after the other."""

        async def wait() -> None:
            with self.guard.watched(kind, size):
                await asyncio.Event().wait()

        for name in names:
            self._waiting[name] = asyncio.create_task(wait())
            await asyncio.sleep(0)

    async def refused(self) -> set[str]:
        """Return those that were refused since the last call."""
        for _ in range(3):
            await asyncio.sleep(0)
        ended = {name: task for name, task in self._waiting.items() if task.done()}
        for name, task in ended.items():
            del self._waiting[name]
            with pytest.raises(LakegateError) as refusal:
                task.result()
            assert refusal.value.code is ErrorCode.OVERLOADED
            assert refusal.value.retry_after_seconds == 1.0
        return set(ended)

    async def leave(self) -> None:
        for task in self._waiting.values():
            task.cancel()
        await asyncio.gather(*self._waiting.values(), return_exceptions=True)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def callers(memory: Memory) -> AsyncIterator[Callers]:
    callers = Callers(memory)
    yield callers
    await callers.leave()


async def test_nobody_is_refused_up_to_the_watermark(memory: Memory, callers: Callers) -> None:
    await callers.come("a", "b")
    memory.size = WATERMARK
    callers.guard.check()
    assert await callers.refused() == set()


async def test_above_it_half_are_refused_at_a_check_the_newest_first(
    memory: Memory, callers: Callers
) -> None:
    await callers.come("oldest", "old", "new", "newest")
    callers.guard.check()
    memory.size = WATERMARK + 1
    callers.guard.check()
    assert await callers.refused() == {"new", "newest"}
    callers.guard.check()
    assert await callers.refused() == {"old"}
    memory.size = WATERMARK
    callers.guard.check()
    assert await callers.refused() == set()


async def test_messages_that_wait_for_memory_go_first_and_of_them_the_largest(
    memory: Memory, callers: Callers
) -> None:
    await callers.come("large", kind=Kind.ARRIVED, size=64)
    await callers.come("small", kind=Kind.ARRIVED, size=1)
    await callers.come("stream")
    await callers.come("body", kind=Kind.RESERVED)
    callers.guard.check()
    memory.size = WATERMARK + 1
    callers.guard.check()
    assert await callers.refused() == {"large", "small"}
    callers.guard.check()
    assert await callers.refused() == {"stream"}
    callers.guard.check()
    assert await callers.refused() == {"body"}


async def test_all_callers_without_a_token_go_before_anybody_with_one(
    memory: Memory, callers: Callers
) -> None:
    await callers.come("large", kind=Kind.ARRIVED, size=64)
    await callers.come("stream")
    public = {f"health check {number}" for number in range(5)}
    await callers.come(*public, kind=Kind.PUBLIC)
    memory.size = WATERMARK + 1
    callers.guard.check()
    assert await callers.refused() == public
    callers.guard.check()
    assert await callers.refused() == {"large"}


async def test_who_began_since_the_last_check_has_brought_little_and_goes_last(
    memory: Memory, callers: Callers
) -> None:
    await callers.come("idle", "new")
    callers.guard.check()
    await callers.come("busy")
    memory.size = WATERMARK + 1
    callers.guard.check()
    assert await callers.refused() == {"idle", "new"}


async def test_a_large_message_makes_the_guard_check_at_once(
    memory: Memory, callers: Callers
) -> None:
    await callers.come("a")
    memory.size = WATERMARK + 1
    callers.guard.arrived(LARGE_BYTES - 1)
    assert await callers.refused() == set()
    callers.guard.arrived(LARGE_BYTES)
    assert await callers.refused() == {"a"}


async def test_free_memory_is_released_before_anybody_is_refused(
    memory: Memory, callers: Callers
) -> None:
    await callers.come("a")
    memory.size, memory.free = WATERMARK * 4 // 5, WATERMARK // 2
    callers.guard.check()
    await asyncio.to_thread(callers.guard._thread.shutdown)
    assert memory.size == WATERMARK * 3 // 10
    assert await callers.refused() == set()


async def test_who_leaves_is_not_refused(memory: Memory, callers: Callers) -> None:
    async def wait() -> None:
        with callers.guard.watched(Kind.UNRESERVED):
            await asyncio.Event().wait()

    leaving = asyncio.create_task(wait())
    await asyncio.sleep(0)
    memory.size = WATERMARK + 1
    callers.guard.check()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_the_guard_gives_up_refusing_where_that_does_not_help(
    memory: Memory, callers: Callers
) -> None:
    memory.size = 2 * WATERMARK
    for _ in range(FUTILE_CHECKS):
        callers.guard.check()
    callers.guard.check()
    await callers.come("a")
    callers.guard.check()
    assert await callers.refused() == set()
    memory.size = 2 * WATERMARK + WATERMARK // 4 + 1
    callers.guard.check()
    assert await callers.refused() == {"a"}
    memory.size = WATERMARK  # as it was
    callers.guard.check()
    await callers.come("b")
    memory.size = WATERMARK + 1
    callers.guard.check()
    assert await callers.refused() == {"b"}


async def test_the_guard_checks_by_itself_while_somebody_waits(memory: Memory) -> None:
    guard = MemoryGuard(WATERMARK, memory.resident, memory.release, check_seconds=0)
    memory.size = WATERMARK + 1
    for _ in range(2):  # it begins again with the next one
        with pytest.raises(LakegateError), guard.watched(Kind.UNRESERVED):
            await asyncio.Event().wait()
        await until(lambda: guard._checking is None)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the guard tells nobody
        await asyncio.sleep(0)


async def test_what_is_waited_for_is_returned_where_there_is_memory(callers: Callers) -> None:
    async def read(message: Awaitable[str]) -> str:
        with callers.guard.watched(Kind.UNRESERVED):
            return await message

    assert await read(asyncio.sleep(0, "message")) == "message"


def test_the_watermark_is_above_the_budget_and_below_the_containers_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(memory_budget_bytes=1024 * MIB, max_body_bytes=64 * MIB)
    monkeypatch.setattr("lakegate.rpc.flow.memory_guard.memory_limit", lambda: 1 << 40)
    assert watermark(settings) == (1024 + 208 + 3 * 64) * MIB
    monkeypatch.setattr("lakegate.rpc.flow.memory_guard.memory_limit", lambda: 1024 * MIB)
    assert watermark(settings) == 768 * MIB
