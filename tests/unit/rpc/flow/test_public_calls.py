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
    refusal,
    running,
)
from tests.testing.waiting import until

from lakegate.concurrency.budget import Budget

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
