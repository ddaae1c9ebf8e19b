"""Over a real socket: a message is read when there is room for it, or its call is refused."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as grpc_health
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from tests.testing.counting_lake import CountingLake
from tests.testing.stub_decoder import ARROW, NDJSON
from tests.testing.waiting import until

from lakegate.auth.keyring import Keyring
from lakegate.auth.tokens import Permission, Token, digest_of
from lakegate.concurrency.budget import Budget
from lakegate.contract import INTERNAL_SERVICE
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.flow.memory_guard import MemoryGuard
from lakegate.rpc.flow.rates import Rates
from lakegate.rpc.interceptors.admission import AdmissionInterceptor
from lakegate.rpc.interceptors.auth import AuthInterceptor
from lakegate.rpc.interceptors.calls import CallInterceptor
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.services.inflate import add_inflate_servicer
from lakegate.rpc.services.ingest import EXPECTED_SIZE_KEY, IngestServicer
from lakegate.v1 import ingest_pb2_grpc
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

MIB = 1024 * 1024
REQUEST = IngestRequest(table="orders", ndjson=b"{}")


class Memory:
    """The memory of the process, as a test makes it up."""

    def __init__(self) -> None:
        self.size = 0
        self.guard = MemoryGuard(1000, lambda: self.size, lambda: None, look_seconds=3600)

    def run_out(self) -> None:
        self.size = 1001
        self.guard.look()
        self.size = 0


@dataclass
class Gate:
    """A servicer behind the interceptors, with a lake that only counts."""

    channel: grpc.aio.Channel
    stub: Any
    budget: Budget
    lake: CountingLake
    memory: Memory


@asynccontextmanager
async def running(
    budget: Budget,
    patience: float = 30,
    read_seconds: float = 30,
    rates: Rates | None = None,
    tokens: Sequence[Token] = (),
) -> AsyncIterator[Gate]:
    memory = Memory()
    admission = Admission(budget, 8 * MIB, patience, read_seconds, memory.guard)
    keyring = Keyring(lambda: (tokens, bool(tokens)), 3600)
    auth = AuthInterceptor(keyring, rates or Rates(0, 0), open_to_anybody=True)
    server = grpc.aio.server(
        interceptors=(CallInterceptor(), auth, AdmissionInterceptor(admission)),
        options=[("grpc.max_receive_message_length", -1)],
    )
    lake = CountingLake()
    servicer = IngestServicer(lake, Formats([NDJSON, ARROW]), admission, asyncio.Event())
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server)
    add_inflate_servicer(server, admission)
    health = grpc_health.HealthServicer()
    await health.set("up", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((reflection.SERVICE_NAME,), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Gate(channel, IngestServiceStub(channel), budget, lake, memory)
    finally:
        await server.stop(None)


def chunks(number: int) -> AsyncIterator[HttpBody]:
    async def send() -> AsyncIterator[HttpBody]:
        for _ in range(number):
            yield HttpBody(data=bytes(MIB))

    return send()


def token(secret: str) -> Token:
    return Token(digest_of(secret), "default", frozenset(Permission))


def sent_by(secret: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"),)


class Slow:
    """Sends one message, the rest when the test lets it."""

    def __init__(self, first: Any) -> None:
        self.first = first
        self.rest = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[Any]:
        yield self.first
        await self.rest.wait()


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def retry_delay(error: Any) -> float:
    status = rpc_status.from_call(error)
    assert status
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    return float(retry.retry_delay.ToMilliseconds()) / 1000


def was_cut_off(error: grpc.aio.AioRpcError) -> bool:
    """Whether the client met the end of the call while it sent, and asked for no reason."""
    return error.details() == "Internal error from Core"


@pytest.mark.parametrize("door", ["message", "body"])
async def test_a_request_waits_for_room_and_is_answered_when_there_is(door: str) -> None:
    async with running(Budget(16 * MIB)) as gate:
        elsewhere = await gate.budget.take("elsewhere", 16 * MIB)
        metadata = (("x-table", "orders"),)
        call = (
            gate.stub.Ingest(REQUEST)
            if door == "message"
            else gate.stub.IngestBody(chunks(4), metadata=metadata)
        )
        answer = asyncio.ensure_future(call)
        await until(lambda: bool(gate.budget._new))
        assert gate.lake.batches == []
        elsewhere.shrink(0)
        await answer
        assert len(gate.lake.batches) == 1
        assert gate.budget.used == 0


async def test_on_a_small_budget_messages_are_read_beside_others() -> None:
    async with running(Budget(4 * MIB), patience=0) as gate:  # less than one body may have
        await gate.budget.take("elsewhere", 3 * MIB)
        await gate.stub.Ingest(REQUEST)
        assert len(gate.lake.batches) == 1
        assert gate.budget.used == 3 * MIB


async def test_a_message_that_is_larger_than_thought_waits_for_more_room() -> None:
    async with running(Budget(4 * MIB), patience=0) as gate:
        await gate.budget.take("elsewhere", 2 * MIB)
        large = IngestRequest(table="orders", ndjson=bytes(3 * MIB))
        assert retry_delay(await refusal(gate.stub.Ingest(large))) == 1.0
        assert gate.lake.batches == []
        assert gate.budget.used == 2 * MIB


@pytest.mark.parametrize("door", ["message", "body"])
async def test_a_request_that_waits_too_long_is_told_when_to_come_again(door: str) -> None:
    async with running(Budget(16 * MIB), patience=0) as gate:
        await gate.budget.take("elsewhere", 16 * MIB)
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


async def test_room_is_taken_for_the_size_that_is_announced() -> None:
    async with running(Budget(16 * MIB)) as gate:
        metadata = (("x-table", "orders"), (EXPECTED_SIZE_KEY, str(4 * MIB)))
        begun = asyncio.Event()

        async def slow() -> AsyncIterator[HttpBody]:
            yield HttpBody(data=bytes(MIB))
            await begun.wait()
            yield HttpBody(data=bytes(3 * MIB))

        answer = asyncio.ensure_future(gate.stub.IngestBody(slow(), metadata=metadata))
        await until(lambda: gate.budget.used > 0)
        assert gate.budget.used == 4 * MIB
        begun.set()
        await answer
        assert len(gate.lake.batches[0].body.data) == 4 * MIB


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


@pytest.mark.parametrize("announced", ["0", "1", "x", "-1", "9" * 100])
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


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async with running(Budget(16 * MIB), read_seconds=0.01) as gate:

        async def never() -> AsyncIterator[HttpBody]:
            yield HttpBody(data=b"{}")
            await asyncio.Event().wait()

        error = await refusal(gate.stub.IngestBody(never(), metadata=(("x-table", "orders"),)))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "the body did not come" in str(error.details())
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


async def test_a_stream_is_held_back_while_there_is_no_room() -> None:
    async with running(Budget(16 * MIB)) as gate:
        elsewhere = await gate.budget.take("elsewhere", 16 * MIB)
        answers = gate.stub.IngestStream(iter([REQUEST] * 3))
        first = asyncio.ensure_future(anext(aiter(answers)))
        await until(lambda: bool(gate.budget._new))
        assert gate.lake.batches == []
        elsewhere.shrink(0)
        assert (await first).WhichOneof("result") == "acknowledgement"
        assert [each async for each in answers]
        assert gate.budget.used == 0


async def test_a_client_that_leaves_gives_its_room_back() -> None:
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


async def test_slow_messages_of_one_token_leave_room_for_another() -> None:
    tokens = [token("slow"), token("quick")]
    async with running(Budget(16 * MIB), patience=30, tokens=tokens) as gate:
        never = asyncio.Event()

        async def nothing() -> AsyncIterator[bytes]:
            await never.wait()
            yield b""

        ingest: Any = gate.channel.stream_unary("/lakegate.v1.IngestService/Ingest")
        slow = [ingest(nothing(), metadata=sent_by("slow")) for _ in range(4)]
        await until(lambda: bool(gate.budget._new))
        assert gate.budget.used == 8 * MIB
        await gate.stub.Ingest(REQUEST, metadata=sent_by("quick"))
        assert len(gate.lake.batches) == 1
        for call in slow:
            call.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_an_inflated_body_counts_once_towards_the_rates_of_its_token() -> None:
    now = 0.0
    rates = Rates(1, 2, lambda: now)
    async with running(Budget(16 * MIB), rates=rates, tokens=[token("t")]) as gate:
        inflate: Any = gate.channel.unary_unary(f"/{INTERNAL_SERVICE}/InflateQueryEvents")
        assert await inflate(b"body", metadata=sent_by("t")) == b"body"
        assert await inflate(b"body", metadata=sent_by("t")) == b"body"
        await gate.stub.Ingest(REQUEST, metadata=sent_by("t"))  # which counts
        error = await refusal(inflate(b"body", metadata=sent_by("t")))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


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


async def test_a_message_without_room_is_dropped_when_memory_runs_out() -> None:
    async with running(Budget(16 * MIB)) as gate:
        elsewhere = await gate.budget.take("elsewhere", 16 * MIB)
        answers = aiter(gate.stub.IngestStream(aiter(Slow(REQUEST))))
        first = asyncio.ensure_future(anext(answers))
        await until(lambda: bool(gate.budget._new))
        gate.memory.run_out()
        error = await refusal(first)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert gate.lake.batches == []
        elsewhere.shrink(0)
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


OTHERS = (
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


@pytest.mark.parametrize("method", OTHERS)
async def test_what_anybody_may_send_is_refused_when_memory_runs_out(method: str) -> None:
    async with running(Budget(16 * MIB)) as gate:
        never = asyncio.Event()

        async def nothing() -> AsyncIterator[bytes]:
            await never.wait()
            yield b""

        call: Any = gate.channel.stream_stream(f"/{method}")
        answer = asyncio.ensure_future(anext(aiter(call(nothing()))))
        await until(lambda: bool(gate.memory.guard._watched))
        gate.memory.run_out()
        error = await refusal(answer)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_is_told_and_watched() -> None:
    async with running(Budget(16 * MIB)) as gate:
        stub: Any = health_pb2_grpc.HealthStub(gate.channel)
        request = health_pb2.HealthCheckRequest(service="up")
        serving = health_pb2.HealthCheckResponse.SERVING
        assert (await stub.Check(request)).status == serving
        assert (await anext(aiter(stub.Watch(request)))).status == serving
        error = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="unknown")))
        assert error.code() is grpc.StatusCode.NOT_FOUND
