"""Over a real socket: what callers send ends when the process has too much memory."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.testing.gate.admitting_gate import (
    MIB,
    REQUEST,
    Slow,
    refusal,
    retry_delay,
    running,
)
from tests.testing.waiting import until

from lakegate.concurrency.budget import Budget


async def test_a_stream_that_memory_runs_out_for_answers_what_it_read_and_is_refused() -> None:
    async with running(Budget(16 * MIB)) as gate:
        call = gate.stub.IngestStream(aiter(Slow(REQUEST)))
        answers = aiter(call)
        assert (await anext(answers)).WhichOneof("result") == "acknowledgement"
        gate.memory.run_out()
        error = await refusal(anext(answers))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_delay(error) == 1.0
        assert len(gate.lake.batches) == 1
        assert gate.budget.used == 0


async def test_a_message_without_a_reservation_is_dropped_when_memory_runs_out() -> None:
    async with running(Budget(16 * MIB)) as gate:
        elsewhere = await gate.budget.reserve(("elsewhere",), 16 * MIB)
        answers = aiter(gate.stub.IngestStream(aiter(Slow(REQUEST))))
        first = asyncio.ensure_future(anext(answers))
        await until(lambda: gate.budget.waiting > 0)
        gate.memory.run_out()
        error = await refusal(first)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert gate.lake.batches == []
        elsewhere.release()
        assert gate.budget.used == 0
        await gate.stub.Ingest(REQUEST)


@pytest.mark.parametrize("door", ["message", "body"])
async def test_what_is_read_when_memory_runs_out_is_refused(door: str) -> None:
    async with running(Budget(16 * MIB)) as gate:
        never = asyncio.Event()

        async def nothing() -> AsyncIterator[bytes]:
            await never.wait()
            yield b""

        method = "Ingest" if door == "message" else "IngestBody"
        call: Any = gate.channel.stream_unary(f"/lakegate.v1.IngestService/{method}")
        answer = call(nothing(), metadata=(("x-table", "orders"),))
        await until(lambda: bool(gate.memory.guard._watched))
        gate.memory.run_out()
        error = await refusal(answer)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_delay(error) == 1.0
        assert gate.budget.used == 0
        assert gate.lake.batches == []
