"""A server that stops: what has begun may end, what waits is answered, and no call begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody
from grpc_status import rpc_status
from tests.testing.counting_lake import ACKNOWLEDGED, CountingLake
from tests.testing.stub_decoder import ARROW, NDJSON
from tests.testing.waiting import until

from lakegate.auth.keyring import Keyring
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Acknowledgement, Batch
from lakegate.rpc.flow.rates import Rates
from lakegate.rpc.interceptors.auth import AuthInterceptor
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.server import Lake, Server
from lakegate.rpc.services.query_events import QueryEventDecoders
from lakegate.settings import Settings
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

LONG = 60.0
AT_ONCE = 0.0


class SlowLake(CountingLake):
    """Answers when a test lets it, or when it has to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: asyncio.Future[Acknowledgement] = asyncio.get_running_loop().create_future()
        self.gave_up = False

    async def append(self, batch: Batch) -> Acknowledgement:
        await super().append(batch)
        return await asyncio.shield(self.answer)

    def abort(self) -> None:
        self.gave_up = True
        self.answer.set_exception(LakegateError(ErrorCode.OUTCOME_UNKNOWN, "who knows"))
        self.answer.exception()  # there may be nobody to take it


@dataclass
class Running:
    server: Server
    lake: SlowLake
    stub: Any


@asynccontextmanager
async def running(drain_seconds: float) -> AsyncIterator[Running]:
    settings = Settings(grpc_addr="127.0.0.1:0", drain_seconds=drain_seconds)
    lake = SlowLake()
    auth = AuthInterceptor(Keyring(lambda: ((), False), 3600), Rates(0, 0), open_to_anybody=True)
    decoders = QueryEventDecoders(json=NDJSON, messages=NDJSON)
    server = Server(settings, cast(Lake, lake), Formats([NDJSON, ARROW]), decoders, auth)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield Running(server, lake, IngestServiceStub(channel))
    finally:
        await server.stop()


def ingest(gate: Running) -> "asyncio.Future[Any]":
    async def call() -> Any:
        return await gate.stub.Ingest(IngestRequest(table="t", ndjson=b"{}"))

    return asyncio.ensure_future(call())


async def refusal(call: "asyncio.Future[Any]") -> str:
    """Return the gRPC status of a refusal of ours: it has details."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error: Any = raised.value
    assert rpc_status.from_call(error) is not None
    return str(error.code().name)


async def test_what_waits_for_the_lake_is_answered_by_it_and_never_cut() -> None:
    async with running(drain_seconds=AT_ONCE) as gate:
        waiting = [ingest(gate) for _ in range(20)]
        await until(lambda: len(gate.lake.batches) == 20)
        await gate.server.stop()
        assert [await refusal(call) for call in waiting] == ["UNKNOWN"] * 20


async def test_what_ends_in_time_is_acknowledged_and_the_lake_does_not_abort() -> None:
    async with running(drain_seconds=LONG) as gate:
        waiting = ingest(gate)
        await until(lambda: len(gate.lake.batches) == 1)
        stopping = asyncio.ensure_future(gate.server.stop())
        await until(gate.server._draining.is_set)
        assert not stopping.done()
        gate.lake.answer.set_result(ACKNOWLEDGED)
        assert (await waiting).snapshot_id == ACKNOWLEDGED.snapshot_id
        await stopping
        assert not gate.lake.gave_up


async def test_a_call_that_begins_while_others_end_is_refused_in_the_vocabulary() -> None:
    async with running(drain_seconds=LONG) as gate:
        waiting = ingest(gate)
        await until(lambda: len(gate.lake.batches) == 1)
        stopping = asyncio.ensure_future(gate.server.stop())
        await until(gate.server._draining.is_set)
        assert await refusal(ingest(gate)) == "UNAVAILABLE"
        gate.lake.answer.set_result(ACKNOWLEDGED)
        await asyncio.gather(waiting, stopping)
        assert len(gate.lake.batches) == 1


async def test_an_upload_that_is_not_over_at_the_end_never_comes_to_the_lake() -> None:
    async with running(drain_seconds=AT_ONCE) as gate:
        never = asyncio.Event()
        begun = asyncio.Event()

        async def body() -> AsyncIterator[HttpBody]:
            yield HttpBody(data=b"{}\n")
            begun.set()
            await never.wait()

        upload = gate.stub.IngestBody(body(), metadata=(("x-table", "t"),))
        await begun.wait()
        await until(lambda: gate.server._calls._under_way == 1)
        await gate.server.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await upload
        assert gate.lake.batches == []
