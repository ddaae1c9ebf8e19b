"""One database, token or table never takes the memory that others need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakegate.concurrency.budget import Budget, Reservation
from lakegate.concurrency.shares import Owner
from lakegate.errors import ErrorCode, LakegateError

SIZE = 1000
AT_ONCE = 0.0
TABLE = ("their database", "their token", "their table")
OTHERS = {
    "another table": ("their database", "their token", "another table"),
    "another token": ("their database", "another token", "their table"),
    "another database": ("another database", "another token", "another table"),
}


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def is_refused(growing: "asyncio.Task[None]") -> bool:
    with pytest.raises(LakegateError) as refusal:
        await growing
    return refusal.value.code is ErrorCode.OVERLOADED


@asynccontextmanager
async def flooded(
    budget: Budget, *owners: Owner, step: int = 10
) -> AsyncIterator[list[Reservation]]:
    """Reserve for the owners in turn, as long as each gets memory at once."""
    async with AsyncExitStack() as stack:
        made: list[Reservation] = []
        left = list(owners)
        while left:
            for owner in list(left):
                try:
                    reserving = budget.reserving(owner, step, AT_ONCE)
                    made.append(await stack.enter_async_context(reserving))
                except LakegateError:
                    left.remove(owner)
        yield made


def reserved_by(reservations: list[Reservation], owner: Owner) -> int:
    return sum(each.size for each in reservations if each.owner[: len(owner)] == owner)


async def test_a_table_gets_half_a_token_two_thirds_a_database_four_fifths() -> None:
    async with flooded(Budget(SIZE), TABLE, step=1) as flood:
        assert reserved_by(flood, ()) == SIZE // 2
    tables = [(*TABLE[:2], f"t{i}") for i in range(8)]
    async with flooded(Budget(SIZE), *tables, step=1) as flood:
        assert reserved_by(flood, ()) == SIZE * 2 // 3
    tokens = [(TABLE[0], f"token {i}", "t") for i in range(8)]
    async with flooded(Budget(SIZE), *tokens, step=1) as flood:
        assert reserved_by(flood, ()) == SIZE * 4 // 5


@pytest.mark.parametrize("databases", [2, 4, 8])
async def test_databases_that_flood_get_the_same_and_leave_memory_for_the_next(
    databases: int,
) -> None:
    budget = Budget(SIZE)
    owners = [
        (f"db{i}", f"token {j}", f"t{k}")
        for i in range(databases)
        for j in range(4)
        for k in range(4)
    ]
    async with flooded(budget, *owners, step=1) as flood:
        each = [reserved_by(flood, (f"db{i}",)) for i in range(databases)]
        assert max(each) - min(each) <= 16  # what a database asks for in its turn
        assert budget.size - budget.used >= SIZE // (5 * databases)
        await budget.reserve(("next", "token", "t"), SIZE // 100, AT_ONCE)


@pytest.mark.parametrize("other", OTHERS)
async def test_who_floods_a_table_leaves_memory_for(other: str) -> None:
    budget = Budget(SIZE)
    async with flooded(budget, TABLE):
        waiting = [asyncio.create_task(budget.reserve(TABLE, 10)) for _ in range(50)]
        for _ in range(3):
            await budget.reserve(OTHERS[other], 10, AT_ONCE)
        for each in waiting:
            each.cancel()


async def test_bodies_that_are_announced_take_nothing_from_others() -> None:
    budget = Budget(SIZE)
    for number in range(20):
        owner = (*TABLE[:2], f"t{number}")
        try:
            await budget.reserve(owner, 1, AT_ONCE, announced=300)
        except LakegateError:
            break
    assert number == 2  # the token itself waits: three of them would be more than its share
    for other in ("another token", "another database"):
        async with AsyncExitStack() as stack:
            for _ in range(100):
                await stack.enter_async_context(budget.reserving(OTHERS[other], 3, AT_ONCE))


async def test_bodies_that_stopped_halfway_take_no_more_than_their_share() -> None:
    budget = Budget(SIZE)
    halves = [
        asyncio.create_task(grown(budget, (*TABLE[:2], f"t{i}"), 1, 400, AT_ONCE))
        for i in range(50)
    ]
    await asyncio.gather(*halves, return_exceptions=True)
    assert budget.used <= SIZE * 2 // 3
    await budget.reserve(OTHERS["another database"], SIZE // 4, AT_ONCE)


async def grown(
    budget: Budget, owner: Owner, start: int, size: int, patience: float | None = None
) -> Reservation:
    """Reserve as a body does that arrives, and keep the reservation."""
    reservation = await budget.reserve(owner, start, patience)
    try:
        for more in range(start + 1, size + 1, 20):
            await reservation.grow(more, patience)
            await asyncio.sleep(0)
    except LakegateError:
        reservation.release()
        raise
    return reservation


async def test_of_half_received_bodies_that_wait_for_one_another_the_oldest_are_completed() -> None:
    budget = Budget(SIZE)
    bodies = [await budget.reserve(TABLE, 50) for _ in range(10)]
    growing = [asyncio.create_task(body.grow(200)) for body in reversed(bodies)][::-1]
    for number in (9, 8, 7):  # until the oldest fits into the share of the table
        assert await is_refused(growing[number])
        bodies[number].release()
    for number in range(7):
        await growing[number]
        bodies[number].release()
    assert budget.used == 0


async def test_a_body_alone_in_its_table_grows_beyond_its_share_into_what_is_free() -> None:
    budget = Budget(SIZE)
    small = await budget.reserve(OTHERS["another database"], 10)
    body = await budget.reserve(TABLE, 10)
    await body.grow(SIZE - 10, AT_ONCE)
    small.release()
    await body.grow(2 * SIZE, AT_ONCE)  # alone in the budget


async def test_a_body_that_waits_for_its_share_holds_up_nobody_else() -> None:
    budget = Budget(SIZE)
    async with flooded(budget, TABLE) as flood:
        growing = asyncio.create_task(flood[0].grow(400))
        await settle()
        assert not growing.done()
        await budget.reserve(OTHERS["another table"], 10, AT_ONCE)
        growing.cancel()


async def test_small_bodies_are_received_while_others_of_many_databases_hold_the_rest() -> None:
    budget = Budget(SIZE, spare=SIZE // 10)
    halves = [
        asyncio.create_task(grown(budget, (f"db{i}", "token", "t"), 1, 300)) for i in range(20)
    ]
    for _ in range(SIZE):
        await settle()
    with pytest.raises(LakegateError):  # of a size that is not known
        await budget.reserve(OTHERS["another database"], 5, AT_ONCE)
    for _ in range(100):
        async with budget.reserving(OTHERS["another database"], 5, AT_ONCE, announced=5) as small:
            assert small.size == 5
    for half in halves:
        half.cancel()
    await asyncio.gather(*halves, return_exceptions=True)


async def test_small_bodies_do_not_hold_up_a_large_one() -> None:
    budget = Budget(SIZE, spare=SIZE // 10)
    large = await budget.reserve(TABLE, 10, announced=SIZE)
    other = await budget.reserve(OTHERS["another database"], SIZE // 2)
    growing = asyncio.create_task(large.grow(SIZE))
    await settle()
    async with AsyncExitStack() as small:
        for number in range(20):
            owner = (f"db{number}", "token", "t")
            await small.enter_async_context(budget.reserving(owner, 5, AT_ONCE, announced=5))
        with pytest.raises(LakegateError):  # all that is set aside is reserved
            await budget.reserve(("next", "token", "t"), 5, AT_ONCE, announced=5)
        other.release()
        await growing
    large.release()
    assert (budget.used, budget._spare_used) == (0, 0)


async def test_the_database_that_has_least_is_next() -> None:
    budget = Budget(100)
    full = await budget.reserve(("a", "t", "t"), 60)
    await budget.reserve(("b", "t", "t"), 40)
    waiting = {
        name: asyncio.create_task(budget.reserve((name, "t", "u"), 15)) for name in ("b", "c")
    }
    await settle()
    full.shrink(40)
    await settle()
    assert waiting["c"].done()
    assert not waiting["b"].done()
    waiting["b"].cancel()


async def test_nothing_is_left_of_groups_that_are_gone() -> None:
    budget = Budget(SIZE)
    async with flooded(budget, TABLE, *OTHERS.values()):
        pass
    assert budget.used == 0
    assert budget._shares._shares == {}


def reservations(budget: Budget) -> int:
    shares = budget._shares._shares.items()
    return sum(share.reservations for group, share in shares if len(group) == 1)


@given(
    bodies=st.lists(
        st.tuples(
            st.tuples(st.sampled_from("ab"), st.sampled_from("tu"), st.sampled_from("xyz")),
            st.integers(0, 120),
            st.booleans(),
        ),
        max_size=30,
    ),
    chunk=st.integers(1, 40),
    spare=st.sampled_from([0, 48]),
)
async def test_however_bodies_arrive_everybody_is_answered_and_nothing_is_left(
    bodies: list[tuple[Owner, int, bool]], chunk: int, spare: int
) -> None:
    budget = Budget(100, spare)

    async def receive(owner: Owner, size: int, *, is_announced: bool) -> bool:
        try:
            announced = size if is_announced else 0
            async with budget.reserving(owner, min(size, chunk), announced=announced) as body:
                for more in range(chunk, size, chunk):
                    await body.grow(min(size, more + chunk))
                    assert budget.used <= 100 or reservations(budget) == 1 or spare
                    assert budget._spare_used <= spare
                    await asyncio.sleep(0)
        except LakegateError:
            return False
        return True

    async with asyncio.timeout(30):
        answers = await asyncio.gather(
            *(receive(owner, size, is_announced=known) for owner, size, known in bodies)
        )
    assert not bodies or any(answers)
    assert budget.used == 0
    assert budget._spare_used == 0
    assert budget._shares._shares == {}
