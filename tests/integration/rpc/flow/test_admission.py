"""Over a real socket: a message is read when memory is reserved for it, or its call is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.admitting_gate import (
    MIB,
    REQUEST,
    Slow,
    Times,
    chunks,
    refusal,
    retry_delay,
    running,
    sent_by,
    token,
    was_cut_off,
)
from tests.testing.waiting import until

from lakegate.concurrency.budget import Budget
from lakegate.rpc.flow.rates import Rates
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.wire import EXPECTED_SIZE_KEY


@pytest.mark.parametrize("door", ["message", "body"])
async def test_a_request_waits_for_memory_and_is_answered_when_there_is(door: str) -> None:
    async with running(Budget(16 * MIB)) as gate:
        elsewhere = await gate.budget.reserve(("elsewhere",), 16 * MIB)
        metadata = (("x-table", "orders"),)
        call = (
            gate.stub.Ingest(REQUEST)
            if door == "message"
            else gate.stub.IngestBody(chunks(4), metadata=metadata)
        )
        answer = asyncio.ensure_future(call)
        await until(lambda: gate.budget.waiting > 0)
        assert gate.lake.batches == []
        elsewhere.release()
        await answer
        assert len(gate.lake.batches) == 1
        assert gate.budget.used == 0


async def test_on_a_small_budget_messages_are_read_beside_others() -> None:
    async with running(Budget(4 * MIB), Times(patience=0)) as gate:  # less than one body may have
        await gate.budget.reserve(("elsewhere",), 3 * MIB)
        await gate.stub.Ingest(REQUEST)
        assert len(gate.lake.batches) == 1
        assert gate.budget.used == 3 * MIB


async def test_a_message_that_is_larger_than_thought_waits_for_more_memory() -> None:
    async with running(Budget(4 * MIB), Times(patience=0)) as gate:
        await gate.budget.reserve(("elsewhere",), 2 * MIB)
        large = IngestRequest(table="orders", ndjson=bytes(3 * MIB))
        assert retry_delay(await refusal(gate.stub.Ingest(large))) == 1.0
        assert gate.lake.batches == []
        assert gate.budget.used == 2 * MIB


@pytest.mark.parametrize("door", ["message", "body"])
async def test_a_request_that_waits_too_long_is_refused_with_the_time_to_retry(door: str) -> None:
    async with running(Budget(16 * MIB), Times(patience=0)) as gate:
        await gate.budget.reserve(("elsewhere",), 16 * MIB)
        metadata = (("x-table", "orders"),)
        call = (
            gate.stub.Ingest(REQUEST)
            if door == "message"
            else gate.stub.IngestBody(chunks(4), metadata=metadata)
        )
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_delay(error) == 1.0
        assert gate.lake.batches == []


async def test_without_an_announcement_a_chunk_may_be_of_any_size() -> None:
    async with running(Budget(32 * MIB)) as gate:
        slow = Slow(HttpBody(data=bytes(MIB)))
        answer = asyncio.ensure_future(
            gate.stub.IngestBody(aiter(slow), metadata=(("x-table", "orders"),))
        )
        await until(lambda: gate.budget.used > 8 * MIB)
        assert gate.budget.used == 9 * MIB  # what is there, and the largest that may come
        slow.rest.set()
        await answer
        assert gate.budget.used == 0


@pytest.mark.parametrize("announced", ["0", "1", "x", "-1"])
async def test_a_false_announcement_changes_nothing(announced: str) -> None:
    async with running(Budget(16 * MIB)) as gate:
        metadata = (("x-table", "orders"), (EXPECTED_SIZE_KEY, announced))
        await gate.stub.IngestBody(chunks(5), metadata=metadata)
        assert len(gate.lake.batches[0].body.data) == 5 * MIB
        assert gate.budget.used == 0


@pytest.mark.parametrize("announced", [(), ((EXPECTED_SIZE_KEY, "0"),)])
async def test_bodies_of_unknown_sizes_cannot_wait_for_one_another_for_ever(
    announced: tuple[tuple[str, str], ...],
) -> None:
    async with running(Budget(16 * MIB)) as gate:
        calls = [
            gate.stub.IngestBody(chunks(8), metadata=(("x-table", f"t{i}"), *announced))
            for i in range(12)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        codes = {
            each.code().name
            for each in answers
            if isinstance(each, grpc.aio.AioRpcError) and not was_cut_off(each)
        }
        assert codes <= {"RESOURCE_EXHAUSTED"}
        answered = [each for each in answers if not isinstance(each, BaseException)]
        assert len(answered) == len(gate.lake.batches) > 0
        assert gate.budget.used == 0


async def test_a_body_that_does_not_arrive_is_ended() -> None:
    async with running(Budget(16 * MIB), Times(read_seconds=0.01)) as gate:

        async def never() -> AsyncIterator[HttpBody]:
            yield HttpBody(data=b"{}")
            await asyncio.Event().wait()

        error = await refusal(gate.stub.IngestBody(never(), metadata=(("x-table", "orders"),)))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "the body did not arrive" in str(error.details())
        assert gate.lake.batches == []
        assert gate.budget.used == 0


async def test_a_token_over_its_rate_is_refused_in_calls_and_in_streams() -> None:
    now = 0.0
    async with running(Budget(16 * MIB), rates=Rates(2, 0, lambda: now)) as gate:
        await gate.stub.Ingest(REQUEST)
        answers = [each async for each in gate.stub.IngestStream(iter([REQUEST, REQUEST]))]
        assert [each.WhichOneof("result") for each in answers] == ["acknowledgement", "error"]
        assert answers[1].error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert retry_delay(await refusal(gate.stub.Ingest(REQUEST))) == 0.5
        assert len(gate.lake.batches) == 2


async def test_a_stream_waits_while_there_is_no_memory() -> None:
    async with running(Budget(16 * MIB)) as gate:
        elsewhere = await gate.budget.reserve(("elsewhere",), 16 * MIB)
        answers = gate.stub.IngestStream(iter([REQUEST] * 3))
        first = asyncio.ensure_future(anext(aiter(answers)))
        await until(lambda: gate.budget.waiting > 0)
        assert gate.lake.batches == []
        elsewhere.release()
        assert (await first).WhichOneof("result") == "acknowledgement"
        assert [each async for each in answers]
        assert gate.budget.used == 0


async def test_a_client_that_leaves_releases_its_memory() -> None:
    async with running(Budget(16 * MIB)) as gate:

        async def never() -> AsyncIterator[HttpBody]:
            yield HttpBody(data=b"{}")
            await asyncio.Event().wait()

        call = gate.stub.IngestBody(never(), metadata=(("x-table", "orders"),))
        await until(lambda: gate.budget.used > 0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: gate.budget.used == 0)
        assert gate.lake.batches == []


async def test_slow_messages_of_one_token_leave_memory_for_another() -> None:
    tokens = [token("slow"), token("quick")]
    async with running(Budget(16 * MIB), tokens=tokens) as gate:
        never = asyncio.Event()

        async def nothing() -> AsyncIterator[bytes]:
            await never.wait()
            yield b""

        ingest: Any = gate.channel.stream_unary("/lakegate.v1.IngestService/Ingest")
        slow = [ingest(nothing(), metadata=sent_by("slow")) for _ in range(4)]
        await until(lambda: gate.budget.waiting > 0)
        assert gate.budget.used == 8 * MIB
        await gate.stub.Ingest(REQUEST, metadata=sent_by("quick"))
        assert len(gate.lake.batches) == 1
        for call in slow:
            call.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
