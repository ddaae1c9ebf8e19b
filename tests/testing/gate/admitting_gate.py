"""A servicer behind the interceptors, on a real socket, with a lake that only counts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

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

from lakegate.auth.keyring import Keyring
from lakegate.auth.tokens import Permission, Token, digest_of
from lakegate.concurrency.budget import Budget
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.flow.memory_guard import MemoryGuard
from lakegate.rpc.flow.pace import Pace
from lakegate.rpc.flow.rates import Rates
from lakegate.rpc.interceptors.admission import AdmissionInterceptor
from lakegate.rpc.interceptors.auth import AuthInterceptor
from lakegate.rpc.interceptors.calls import CallInterceptor
from lakegate.rpc.interceptors.public import PublicInterceptor
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.services.ingest import IngestServicer
from lakegate.v1 import ingest_pb2_grpc
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

MIB = 1024 * 1024
REQUEST = IngestRequest(table="orders", ndjson=b"{}")


class Memory:
    """The memory of the process, set by a test."""

    def __init__(self) -> None:
        self.size = 0
        self.guard = MemoryGuard(1000, lambda: self.size, lambda: None, check_seconds=3600)

    def run_out(self) -> None:
        self.size = 1001
        self.guard.check()
        self.size = 0


@dataclass
class Gate:
    """A servicer behind the interceptors, with a lake that only counts."""

    channel: grpc.aio.Channel
    stub: Any
    budget: Budget
    lake: CountingLake
    memory: Memory


class Times(NamedTuple):
    """How long a request waits for memory, how long a body may take, and how fast it must be."""

    patience: float = 30
    read_seconds: float = 30
    pace: Pace = Pace(0)


PATIENT = Times()


@asynccontextmanager
async def running(
    budget: Budget,
    times: Times = PATIENT,
    rates: Rates | None = None,
    tokens: Sequence[Token] = (),
) -> AsyncIterator[Gate]:
    memory = Memory()
    admission = Admission(budget, 8 * MIB, *times, memory.guard)
    keyring = Keyring(lambda: (tokens, bool(tokens)), 3600)
    auth = AuthInterceptor(keyring, rates or Rates(0, 0), open_to_anybody=True)
    server = grpc.aio.server(
        interceptors=(
            CallInterceptor(),
            auth,
            PublicInterceptor(memory.guard),
            AdmissionInterceptor(admission),
        ),
        options=[("grpc.max_receive_message_length", -1)],
    )
    lake = CountingLake()
    servicer = IngestServicer(lake, Formats([NDJSON, ARROW]), admission, asyncio.Event())
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, server)
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


def token(secret: str, database: str = "default") -> Token:
    return Token(digest_of(secret), database, frozenset(Permission))


def sent_by(secret: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"),)


class Slow:
    """Sends one message, and ends when `rest` is set."""

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
