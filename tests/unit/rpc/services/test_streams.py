"""A stream answers in order, reads no further than its window, and ends when asked."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from lakegate.concurrency.budget import Budget, Reservation
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.services.streams import (
    MAX_BATCHES_IN_FLIGHT,
    MAX_BYTES_IN_FLIGHT,
    answer_in_order,
)


class Sender:
    """Sends numbers, and counts how many were read."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = iter(numbers)
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        for number in self._numbers:
            self.read += 1
            yield number


class Lake:
    """Answers a number when the test lets it."""

    def __init__(self) -> None:
        self.released: dict[int, asyncio.Event] = {}
        self.cancelled: set[int] = set()

    def release(self, number: int) -> None:
        self._event(number).set()

    async def answer(self, number: int) -> int:
        try:
            await self._event(number).wait()
        except asyncio.CancelledError:
            self.cancelled.add(number)
            raise
        return number

    def _event(self, number: int) -> asyncio.Event:
        return self.released.setdefault(number, asyncio.Event())


def small(_number: int) -> int:
    return 1


async def reserve(number: int) -> Reservation:
    return await Budget(1000).reserve(("t",), number)


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10 * MAX_BATCHES_IN_FLIGHT):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_the_requests() -> None:
    lake = Lake()
    answers = answer_in_order(aiter(Sender(range(3))), lake.answer, small, reserve, asyncio.Event())
    for number in (2, 1, 0):
        lake.release(number)
    assert [answer async for answer in answers] == [0, 1, 2]


async def test_a_batch_begins_before_those_ahead_of_it_are_answered() -> None:
    lake, sender = Lake(), Sender(range(3))
    answers = answer_in_order(aiter(sender), lake.answer, small, reserve, asyncio.Event())
    first = asyncio.ensure_future(anext(answers))
    await settle()
    assert set(lake.released) == {0, 1, 2}
    lake.release(0)
    assert await first == 0
    await answers.aclose()


@pytest.mark.parametrize(
    ("size", "window"),
    [(1, MAX_BATCHES_IN_FLIGHT), (MAX_BYTES_IN_FLIGHT // 4, 4), (MAX_BYTES_IN_FLIGHT * 2, 1)],
)
async def test_no_more_is_read_than_the_window_holds(size: int, window: int) -> None:
    lake, sender = Lake(), Sender(range(MAX_BATCHES_IN_FLIGHT * 4))
    answers = answer_in_order(aiter(sender), lake.answer, lambda _: size, reserve, asyncio.Event())
    first = asyncio.ensure_future(anext(answers))
    await settle()
    assert len(lake.released) == window
    lake.release(0)
    await first
    second = asyncio.ensure_future(anext(answers))
    await settle()
    assert len(lake.released) == window + 1
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_draining_answers_what_was_read_and_then_refuses() -> None:
    lake, draining = Lake(), asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        yield 0
        await asyncio.Event().wait()

    answers = answer_in_order(endless(), lake.answer, small, reserve, draining)
    first = asyncio.ensure_future(anext(answers))
    await settle()
    draining.set()
    await settle()
    lake.release(0)
    assert await first == 0
    with pytest.raises(LakegateError) as refusal:
        await anext(answers)
    assert refusal.value.code is ErrorCode.UNAVAILABLE


async def test_a_client_that_leaves_takes_its_batches_along() -> None:
    lake = Lake()
    answers = answer_in_order(aiter(Sender(range(3))), lake.answer, small, reserve, asyncio.Event())
    first = asyncio.ensure_future(anext(answers))
    await settle()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await settle()
    assert lake.cancelled == {0, 1, 2}


async def test_a_sender_that_fails_ends_the_stream() -> None:
    lake = Lake()
    lake.release(0)

    async def broken() -> AsyncIterator[int]:
        yield 0
        raise ConnectionError

    answers = answer_in_order(broken(), lake.answer, small, reserve, asyncio.Event())
    assert await anext(answers) == 0
    with pytest.raises(ConnectionError):
        await anext(answers)
