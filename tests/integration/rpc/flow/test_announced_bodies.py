"""Over a real socket: memory is reserved for what has arrived, not for what is announced."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.admitting_gate import (
    MIB,
    PATIENT,
    Gate,
    Times,
    chunks,
    refusal,
    running,
    sent_by,
    token,
)
from tests.testing.waiting import until

from lakegate.concurrency.budget import Budget
from lakegate.rpc.flow.pace import Pace
from lakegate.wire import EXPECTED_SIZE_KEY

Headers: TypeAlias = tuple[tuple[str, str], ...]

BUDGET = 64 * MIB
BODY = 8 * MIB
TOKENS = [token("greedy"), token("modest"), token("elsewhere", "sales")]
AT_ONCE = Times(patience=0)
PACE = Pace(bytes_per_second=1e9, window_seconds=0.2)


def announced(sender: str, table: str, size: int) -> Headers:
    database = "sales" if sender == "elsewhere" else "default"
    return (
        *sent_by(sender),
        ("x-database", database),
        *to_receive(table, size),
    )


def to_receive(table: str, size: int) -> Headers:
    return (("x-table", table), (EXPECTED_SIZE_KEY, str(size)))


async def unfinished(size: int) -> AsyncIterator[HttpBody]:
    for _ in range(size // MIB):
        yield HttpBody(data=bytes(MIB))
    await asyncio.Event().wait()


def greedy(gate: Gate, bodies: int, sent: int) -> AbstractAsyncContextManager[None]:
    """Begin bodies of one token, each for a table of its own, of which only a part is sent."""
    return half_sent(gate, [announced("greedy", f"t{i}", BODY) for i in range(bodies)], sent)


@asynccontextmanager
async def half_sent(gate: Gate, bodies: Sequence[Headers], sent: int) -> AsyncIterator[None]:
    calls = [
        asyncio.ensure_future(gate.stub.IngestBody(unfinished(sent), metadata=body))
        for body in bodies
    ]
    used = -1
    while used != gate.budget.used:  # until nothing more arrives
        used = gate.budget.used
        await asyncio.wait(calls, timeout=0.2)
    yield
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_only_what_has_arrived_is_reserved() -> None:
    async with running(Budget(BUDGET), tokens=TOKENS) as gate:
        body = unfinished(2 * MIB)
        call = gate.stub.IngestBody(body, metadata=announced("greedy", "t", BODY))
        await until(lambda: gate.budget.used == 3 * MIB)  # and the next chunk
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize("sent", [0, 6 * MIB], ids=["nothing", "most of it"])
@pytest.mark.parametrize("other", ["modest", "elsewhere"])
async def test_who_announces_bodies_and_does_not_send_them_takes_nothing_from(
    other: str, sent: int
) -> None:
    async with (
        running(Budget(BUDGET), AT_ONCE, tokens=TOKENS) as gate,
        greedy(gate, bodies=12, sent=sent),
    ):
        for _ in range(3):
            size = 4 * MIB
            await gate.stub.IngestBody(chunks(4), metadata=announced(other, "orders", size))
        assert len(gate.lake.batches) == 3


async def test_bodies_of_one_token_begin_as_their_announced_sizes_fit() -> None:
    """Otherwise all would be received in part, and few could be completed."""
    async with running(Budget(BUDGET), tokens=TOKENS) as gate:
        calls = [
            gate.stub.IngestBody(chunks(8), metadata=announced("modest", f"t{i}", BODY))
            for i in range(24)
        ]
        await asyncio.gather(*calls)  # three times the budget, and none is refused
        assert len(gate.lake.batches) == 24
        assert gate.budget.used == 0


async def test_bodies_of_many_tokens_that_do_not_fit_are_completed_or_refused() -> None:
    tokens = [token(f"secret {i}", f"d{i % 4}") for i in range(16)]
    async with running(Budget(BUDGET), tokens=tokens) as gate:
        calls = [
            gate.stub.IngestBody(
                chunks(8),
                metadata=(
                    *sent_by(f"secret {i}"),
                    ("x-database", f"d{i % 4}"),
                    ("x-table", "t"),
                    (EXPECTED_SIZE_KEY, str(BODY)),
                ),
            )
            for i in range(16)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
        assert len(refused) + len(gate.lake.batches) == 16
        assert len(gate.lake.batches) >= 4
        assert gate.budget.used == 0


async def test_small_bodies_are_received_while_half_sent_ones_of_many_databases_hold_the_rest() -> (
    None
):
    tokens = [token(f"secret {i}", f"d{i}") for i in range(16)]
    bodies = [
        (*sent_by(f"secret {i}"), ("x-database", f"d{i}"), *to_receive("t", BODY))
        for i in range(16)
    ]
    budget = Budget(BUDGET, spare=BUDGET // 16)
    async with (
        running(budget, tokens=[*TOKENS, *tokens]) as gate,
        half_sent(gate, bodies, sent=BODY - MIB),
    ):
        for _ in range(10):
            small = announced("elsewhere", "orders", 1)
            await gate.stub.IngestBody(row(), metadata=small, timeout=PATIENT.patience / 3)
        assert len(gate.lake.batches) == 10


async def row() -> AsyncIterator[HttpBody]:
    yield HttpBody(data=b"\n")


async def test_a_body_that_stops_arriving_is_ended_and_releases_its_memory() -> None:
    pace = Times(pace=PACE)
    async with running(Budget(BUDGET), pace, tokens=TOKENS) as gate:
        call = gate.stub.IngestBody(unfinished(MIB), metadata=announced("greedy", "t", BODY))
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (
            error.details() == "the body arrived at less than 1e+09 bytes a second for 0.2 seconds"
        )
        assert gate.budget.used == 0
        assert gate.lake.batches == []
