"""A budget is never exceeded, shared fairly, and never stuck."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakegate.concurrency.budget import Budget, Reservation
from lakegate.errors import ErrorCode, LakegateError

AT_ONCE = 0.0


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def refused(
    waiting: "asyncio.Future[Reservation] | asyncio.Task[Reservation] | asyncio.Task[None]",
) -> str:
    with pytest.raises(LakegateError) as refusal:
        await waiting
    assert refusal.value.retry_after_seconds
    return refusal.value.code.value.name


def reserving(budget: Budget, key: str, size: int) -> "asyncio.Task[Reservation]":
    return asyncio.create_task(budget.reserve((key,), size))


async def test_what_fits_is_reserved_at_once_and_the_rest_waits_for_it() -> None:
    budget = Budget(100)
    first = await budget.reserve(("a",), 50)
    await budget.reserve(("b",), 50)
    waiting = reserving(budget, "c", 10)
    await settle()
    assert not waiting.done()
    first.release()
    assert (await waiting).size == 10
    assert budget.used == 60


async def test_who_waited_too_long_is_refused_and_has_nothing() -> None:
    budget = Budget(100)
    async with budget.reserving(("a",), 100):
        waiting = asyncio.create_task(budget.reserve(("b",), 1, AT_ONCE))
        assert await refused(waiting) == ErrorCode.OVERLOADED.value.name
        assert budget.used == 100
    assert budget.used == 0


async def test_a_key_gets_half_and_leaves_memory_for_others() -> None:
    budget = Budget(100)
    await budget.reserve(("flooded",), 50)
    more = [reserving(budget, "flooded", 10) for _ in range(50)]
    other = reserving(budget, "other", 50)
    await settle()
    assert other.done()
    assert not any(each.done() for each in more)
    for each in more:
        each.cancel()


async def test_keys_take_turns() -> None:
    budget = Budget(100)
    everything = await budget.reserve(("a",), 100)
    order: list[str] = []

    async def take(key: str) -> None:
        async with budget.reserving((key,), 50):
            order.append(key)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(take(key)) for key in "bbbbcd"]
    await settle()
    everything.release()
    await asyncio.gather(*tasks)
    assert order[:3] == ["b", "c", "d"]
    assert sorted(order) == list("bbbbcd")


async def test_the_next_in_turn_is_not_overtaken_by_those_who_need_less() -> None:
    budget = Budget(100)
    held = await budget.reserve(("a",), 60)
    large = reserving(budget, "b", 50)
    small = reserving(budget, "c", 1)
    await settle()
    assert not large.done()
    assert not small.done()
    held.release()
    await asyncio.gather(large, small)


async def test_more_than_the_budget_is_reserved_alone() -> None:
    budget = Budget(100)
    held = await budget.reserve(("a",), 1)
    large = reserving(budget, "b", 1000)
    await settle()
    assert not large.done()
    held.release()
    (await large).release()
    assert budget.used == 0


async def test_growing_comes_before_beginning() -> None:
    budget = Budget(100)
    grows, other = await budget.reserve(("a",), 40), await budget.reserve(("b",), 50)
    new = reserving(budget, "c", 50)
    growing = asyncio.create_task(grows.grow(60))
    await settle()
    assert not growing.done()
    other.release()
    await growing
    assert not new.done()
    grows.release()
    await new


async def test_where_all_wait_for_one_another_the_youngest_is_refused() -> None:
    budget = Budget(100)
    first, last = await budget.reserve(("a",), 50), await budget.reserve(("b",), 50)
    first_growing = asyncio.create_task(first.grow(80))
    last_growing = asyncio.create_task(last.grow(80))
    assert await refused(last_growing) == "overloaded"
    last.release()  # as whoever is refused does
    await first_growing
    assert budget.used == 80


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    budget = Budget(100)
    held = await budget.reserve(("a",), 100)
    waiting = reserving(budget, "b", 10)
    await settle()
    held.release()  # grants it …
    waiting.cancel()  # … before it knows
    await asyncio.gather(waiting, return_exceptions=True)
    assert budget.used == 0


@given(
    sizes=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 120)), max_size=30),
    growth=st.integers(0, 60),
)
async def test_the_budget_is_never_exceeded_and_everybody_is_answered(
    sizes: list[tuple[str, int]], growth: int
) -> None:
    budget = Budget(100)

    async def user(key: str, size: int) -> bool:
        try:
            async with budget.reserving((key,), size) as reservation:
                for more in (size, size + growth):
                    await reservation.grow(more)
                    shares = budget._shares._shares.values()
                    alone = sum(share.reservations for share in shares) == 1
                    assert budget.used <= 100 or alone
                    await asyncio.sleep(0)
        except LakegateError:
            return False
        return True

    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(user(*each) for each in sizes))
    assert budget.used == 0
    assert not sizes or any(answers)
