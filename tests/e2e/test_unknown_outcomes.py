"""When the server goes away: what may be committed is in doubt, what cannot be is unavailable."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import grpc.aio
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.cut_proxy import Wire, wire_to
from tests.testing.gate.echo_gate import EchoGate, free_ports, running_echo_gate
from tests.testing.gate.raw_http import read_answer

from lakegate.edge.process import running_envoy
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub
from lakegate.v1.query_events_pb2 import PushQueriesRequest
from lakegate.v1.query_events_pb2_grpc import QueryEventServiceStub

WAIT = {"X-Wait": "true"}
WAITS = (("x-wait", "true"),)
QUERIES = "/ingest/push/queries"
UNKNOWN = (500, "outcome_unknown")
UNAVAILABLE = (503, "unavailable")
SAFE = "A retry with the same idempotency key is safe"


@pytest.fixture
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


@pytest.fixture
async def wire(gate: EchoGate) -> AsyncIterator[Wire]:
    """Lay a wire between Envoy and its server that the test may cut."""
    async with (
        wire_to(gate.port) as wire,
        running_envoy(free_ports(), f"127.0.0.1:{wire.port}") as envoy,
    ):
        gate.envoy = envoy
        gate.rest.base_url = httpx.URL(gate.url)
        yield wire


async def chunked(body: bytes) -> AsyncIterator[bytes]:
    yield body


def code_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith(("grpc-", "lakegate-"))]
    return answer.status_code, error["code"]


async def when_waiting(gate: EchoGate, request: Awaitable[Any]) -> "asyncio.Future[Any]":
    """Send a request; return when the server has all of it."""
    sent = asyncio.ensure_future(request)
    await gate.echo.waiting.wait()
    gate.echo.waiting.clear()
    return sent


def posts(gate: EchoGate) -> list[Awaitable[httpx.Response]]:
    """Return each way to send rows over REST."""
    rest = gate.rest
    compressed = {**WAIT, "Content-Encoding": "gzip"}
    return [
        rest.post("/v1/ingest", content=b"{}", headers=WAIT),
        rest.post("/v1/ingest", content=chunked(b"{}"), headers=WAIT),
        rest.post(QUERIES, content=b"{}", headers=WAIT),
        rest.post(QUERIES, content=chunked(b"[{}]\n"), headers=WAIT),
        rest.post(QUERIES, content=gzip.compress(b"{}"), headers=compressed),
    ]


async def test_a_server_that_dies_with_the_rows_leaves_rest_callers_in_doubt(
    gate: EchoGate, wire: Wire
) -> None:
    answers = [await when_waiting(gate, post) for post in posts(gate)]
    wire.cut()
    for answer in await asyncio.gather(*answers):
        assert code_of(answer) == UNKNOWN
        assert SAFE in answer.json()["error"]["message"]


async def test_a_server_that_cancels_its_calls_leaves_rest_callers_in_doubt(
    gate: EchoGate,
) -> None:
    answers = [await when_waiting(gate, post) for post in posts(gate)]
    await gate.server.stop(None)
    for answer in await asyncio.gather(*answers):
        assert code_of(answer) == UNKNOWN


def calls(channel: grpc.aio.Channel) -> Iterator[Awaitable[Any]]:
    """Start each gRPC call that sends rows."""
    ingest, events = IngestServiceStub(channel), QueryEventServiceStub(channel)
    yield ingest.Ingest(IngestRequest(table="t"), metadata=WAITS)
    yield events.PushQueries(PushQueriesRequest(), metadata=WAITS)
    yield ingest.IngestBody(iter([HttpBody(data=b"{}")]), metadata=WAITS)


@pytest.mark.parametrize("how", ["dies", "cancels"])
async def test_grpc_clients_are_never_told_unavailable_for_rows_in_doubt(
    gate: EchoGate, wire: Wire, how: str
) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        answers = [await when_waiting(gate, call) for call in calls(channel)]
        if how == "dies":
            wire.cut()
        else:
            await gate.server.stop(None)
        ended = await asyncio.gather(*answers, return_exceptions=True)
    codes = [error.code().name for error in ended if isinstance(error, grpc.aio.AioRpcError)]
    # The headers of the answer to a body are out by then: Envoy can only reset the stream.
    assert codes == ["UNKNOWN", "UNKNOWN", "INTERNAL" if how == "dies" else "UNKNOWN"]


@pytest.mark.parametrize("framing", ["Content-Length: 60000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("how", ["dies", "cancels"])
async def test_half_a_body_is_not_in_doubt(
    gate: EchoGate, wire: Wire, framing: str, how: str
) -> None:
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(f"POST /v1/ingest HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n2\r\n{{}}\r\n".encode())
    await gate.echo.pieces.get()
    if how == "dies":
        wire.cut()
    else:
        await gate.server.stop(None)
    status, error = await read_answer(reader)
    writer.close()
    assert (status, error["code"]) == UNAVAILABLE


async def test_what_was_never_sent_is_not_in_doubt(gate: EchoGate) -> None:
    await gate.server.stop(None)
    for post in posts(gate):
        assert code_of(await post) == UNAVAILABLE
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        ended = await asyncio.gather(*calls(channel), return_exceptions=True)
    assert {error.code() for error in ended if isinstance(error, grpc.aio.AioRpcError)} == {
        grpc.StatusCode.UNAVAILABLE
    }


async def test_questions_are_never_in_doubt(gate: EchoGate, wire: Wire) -> None:
    wire.cut()
    await gate.server.stop(None)
    for path in ("/health", "/v1/admin/databases/d/tables"):
        assert code_of(await gate.rest.get(path)) == UNAVAILABLE
