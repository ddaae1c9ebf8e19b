"""Over a real socket: health checks and reflection are few, small, and ended first."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.testing.gate.admitting_gate import (
    MIB,
    Gate,
    refusal,
    running,
)
from tests.testing.waiting import until

from lakegate.concurrency.budget import Budget
from lakegate.rpc.flow.public_calls import (
    MAX_MESSAGE_BYTES,
    MAX_READERS,
    MAX_STREAMS,
    MAX_STREAMS_PER_CALLER,
)

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


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip], ids=["plain", "gzip"])
@pytest.mark.parametrize("method", OTHERS)
async def test_a_message_of_more_than_a_few_kib_is_refused(
    method: str, compression: grpc.Compression | None
) -> None:
    async with running(Budget(16 * MIB)) as gate:
        call: Any = gate.channel.stream_stream(f"/{method}")
        # The name of a service, or of a file.
        size = MAX_MESSAGE_BYTES + 1
        message = health_pb2.HealthCheckRequest(service="x" * size).SerializeToString()
        answers = call(iter([message]), compression=compression)
        error = await refusal(anext(aiter(answers)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details() == f"the message is larger than {MAX_MESSAGE_BYTES} bytes"


async def test_of_messages_that_do_not_arrive_the_oldest_ends_and_honest_callers_are_answered() -> (
    None
):
    async with running(Budget(16 * MIB)) as gate:
        never = asyncio.Event()

        async def nothing() -> AsyncIterator[bytes]:
            await never.wait()
            yield b""

        check: Any = gate.channel.stream_unary("/grpc.health.v1.Health/Check")
        waiting: list[Any] = []
        for _ in range(MAX_READERS):
            waiting.append(check(nothing()))
            await until(lambda: len(gate.memory.guard._watched) == len(waiting))
        stub: Any = health_pb2_grpc.HealthStub(gate.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="up"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        error = await refusal(waiting[0])
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not any(call.done() for call in waiting[1:])


def watching(gate: Gate, caller: str) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(gate.channel)
    request = health_pb2.HealthCheckRequest(service="up")
    return aiter(stub.Watch(request, metadata=(("x-forwarded-for", f"10.0.0.1, {caller}"),)))


async def test_a_caller_has_so_many_watches_and_no_more() -> None:
    async with running(Budget(16 * MIB)) as gate:
        watches = [watching(gate, "10.0.0.2") for _ in range(MAX_STREAMS_PER_CALLER)]
        for watch in watches:
            await anext(watch)
        error = await refusal(anext(watching(gate, "10.0.0.2")))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await anext(watching(gate, "10.0.0.3"))


async def test_all_callers_together_have_so_many_watches() -> None:
    async with running(Budget(16 * MIB)) as gate:
        watches = [watching(gate, f"10.0.1.{i // 10}") for i in range(MAX_STREAMS)]
        for watch in watches:
            await anext(watch)
        error = await refusal(anext(watching(gate, "10.0.0.2")))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        stub: Any = health_pb2_grpc.HealthStub(gate.channel)
        await stub.Check(health_pb2.HealthCheckRequest(service="up"))  # is no stream


async def test_health_is_answered_and_watched() -> None:
    async with running(Budget(16 * MIB)) as gate:
        stub: Any = health_pb2_grpc.HealthStub(gate.channel)
        request = health_pb2.HealthCheckRequest(service="up")
        serving = health_pb2.HealthCheckResponse.SERVING
        assert (await stub.Check(request)).status == serving
        assert (await anext(aiter(stub.Watch(request)))).status == serving
        error = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="unknown")))
        assert error.code() is grpc.StatusCode.NOT_FOUND
