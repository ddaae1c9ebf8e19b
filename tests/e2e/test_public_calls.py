"""Calls that need no token take small messages that are not compressed, from anybody."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.testing.gate.echo_gate import running_echo_gate

from lakegate.v1.health_pb2 import GetHealthRequest
from lakegate.v1.health_pb2_grpc import HealthServiceStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    async with (
        running_echo_gate() as gate,
        grpc.aio.insecure_channel(gate.envoy.http_addr) as channel,
    ):
        yield channel


async def test_a_health_check_is_answered(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING
    assert (await HealthServiceStub(channel).GetHealth(GetHealthRequest())).status == "ok"


@pytest.mark.parametrize(
    "method", ["grpc.health.v1.Health/Check", "lakegate.v1.HealthService/GetHealth"]
)
async def test_a_large_message_is_refused_at_the_edge(
    channel: grpc.aio.Channel, method: str
) -> None:
    call: Any = channel.unary_unary(f"/{method}", request_serializer=bytes)
    with pytest.raises(grpc.aio.AioRpcError, match="Payload Too Large"):
        await call(b"\x0a" + bytes(32 * MIB))


async def test_a_compressed_message_is_not_inflated(channel: grpc.aio.Channel) -> None:
    check: Any = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(
            health_pb2.HealthCheckRequest(service="x" * MIB), compression=grpc.Compression.Gzip
        )
    assert caught.value.code() is not grpc.StatusCode.NOT_FOUND  # its name would not be found
