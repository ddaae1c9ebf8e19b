"""One port of Envoy takes every way in, and hands over what was sent."""

import gzip
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Callable

import grpc.aio
import httpx
import pytest
import pytest_asyncio
from backports import zstd
from grpc_health.v1 import health_pb2
from tests.testing.gate.echo_gate import EchoGate, running_echo_gate

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_rest_speaks_both_versions_of_http(gate: EchoGate, version: str) -> None:
    http2 = version == "HTTP/2"
    async with httpx.AsyncClient(base_url=gate.url, http1=not http2, http2=http2) as client:
        answer = await client.get("/health")
    assert (answer.http_version, answer.status_code) == (version, 200)
    assert answer.json() == {"status": "ok"}


async def test_an_acknowledgement_has_every_key_numbers_as_numbers(gate: EchoGate) -> None:
    answer = await gate.rest.post("/v1/ingest", content=b"")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "snapshot_id": hashlib.sha256().hexdigest(),
        "extent_count": 0,
        "rows_ingested": 0,
        "bytes_written": 0,
        "replayed": False,
    }


async def test_native_grpc_passes_on_the_same_port(gate: EchoGate) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        stub = IngestServiceStub(channel)
        assert (await stub.Ingest(IngestRequest(table="one"))).snapshot_id == "one"
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        health = await check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_grpc_stream_is_answered_batch_by_batch(gate: EchoGate) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        call = IngestServiceStub(channel).IngestStream()
        for table in ("a", "b"):
            await call.write(IngestRequest(table=table))
            answer = await call.read()
            assert answer.acknowledgement.snapshot_id == table
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_a_body_arrives_in_pieces_while_it_is_sent(gate: EchoGate) -> None:
    async def body() -> AsyncIterator[bytes]:
        # No hexadecimal digit at the end: the server keeps back what may begin Envoy's mark.
        for piece in (b"first\n", b"second\n"):
            yield piece
            # Sends no more before the server has it: Envoy cannot be waiting for the end.
            assert await gate.echo.pieces.get() == piece

    answer = await gate.rest.post("/v1/ingest", content=body())
    assert answer.json()["bytes_written"] == len(b"first\nsecond\n")


async def test_a_large_body_arrives_whole(gate: EchoGate) -> None:
    body = os.urandom(MIB) * 20
    answer = await gate.rest.post("/v1/ingest", content=body)
    assert answer.json()["snapshot_id"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("path", ["/v1/ingest", "/ingest/push/queries"])
@pytest.mark.parametrize("encoding", COMPRESS)
async def test_a_compressed_body_reaches_the_server_as_it_was_sent(
    gate: EchoGate, encoding: str, path: str
) -> None:
    body = COMPRESS[encoding](os.urandom(4 * MIB).hex().encode())
    answer = await gate.rest.post(path, content=body, headers={"Content-Encoding": encoding})
    assert answer.json()["snapshot_id"] == hashlib.sha256(body).hexdigest()
    assert gate.echo.metadata[-1]["content-encoding"] == encoding


async def test_a_request_id_is_kept_to_the_letter(gate: EchoGate) -> None:
    # A UUID: the version digit is what tracing would change.
    request_id = "11111111-2222-4333-8444-555555555555"
    answer = await gate.rest.get("/health", headers={"X-Request-ID": request_id})
    assert answer.headers["x-request-id"] == request_id
    assert gate.echo.metadata[-1]["x-request-id"] == request_id


@pytest.mark.parametrize("headers", [{}, {"X-Request-ID": ""}], ids=["none", "empty"])
async def test_a_request_id_is_made_where_there_is_none(
    gate: EchoGate, headers: dict[str, str]
) -> None:
    answer = await gate.rest.get("/health", headers=headers)
    assert uuid.UUID(answer.headers["x-request-id"])
    assert gate.echo.metadata[-1]["x-request-id"] == answer.headers["x-request-id"]


async def test_a_grpc_answer_carries_the_request_id(gate: EchoGate) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        call = IngestServiceStub(channel).Ingest(
            IngestRequest(table="t"), metadata=(("x-request-id", "mine"),)
        )
        assert ("x-request-id", "mine") in tuple(await call.initial_metadata() or ())


@pytest.mark.parametrize(
    "sent",
    [b"a" * 256, b"caf\xc3\xa9", b"a\tb"],
    ids=["long", "not ASCII", "tab"],
)
async def test_a_request_id_that_is_not_printable_is_replaced(gate: EchoGate, sent: bytes) -> None:
    answer = await gate.rest.get("/health", headers=[(b"x-request-id", sent)])
    assert answer.status_code == 200
    assert uuid.UUID(answer.headers["x-request-id"])
    assert gate.echo.metadata[-1]["x-request-id"] == answer.headers["x-request-id"]
    assert not [name for name in gate.echo.metadata[-1] if name == "lakegate-request-id"]


@pytest.mark.parametrize("request_id", ["z" * 255, "a@b", "req|1", 'a "b" c', "100%"])
async def test_a_request_id_is_anything_printable(gate: EchoGate, request_id: str) -> None:
    answer = await gate.rest.get("/health", headers={"X-Request-ID": request_id})
    assert answer.headers["x-request-id"] == request_id


async def test_what_grpc_calls_its_own_headers_is_not_taken_from_rest(gate: EchoGate) -> None:
    headers = {"grpc-timeout": "1n", "grpc-previous-rpc-attempts": "zz", "grpc-encoding": "br"}
    answer = await gate.rest.post("/v1/ingest", content=b"x", headers=headers)
    assert answer.status_code == 200
    assert not [name for name in gate.echo.metadata[-1] if name.startswith("grpc-prev")]


async def test_native_grpc_keeps_its_deadline(gate: EchoGate) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        call = IngestServiceStub(channel).IngestStream(timeout=60)
        await call.write(IngestRequest(table="a"))
        await call.read()
        remaining = float(gate.echo.metadata[-1]["x-time-remaining"])
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
    assert 0 < remaining <= 60


async def test_large_headers_reach_the_server(gate: EchoGate) -> None:
    for http2 in (False, True):
        async with httpx.AsyncClient(base_url=gate.url, http1=not http2, http2=http2) as client:
            for _ in range(20):
                answer = await client.get("/health", headers={"X-Large": "a" * 15_000})
                assert answer.status_code == 200
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        call = IngestServiceStub(channel).Ingest(
            IngestRequest(table="t"), metadata=(("x-large", "a" * 60_000),)
        )
        assert (await call).snapshot_id == "t"
