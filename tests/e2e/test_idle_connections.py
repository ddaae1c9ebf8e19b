"""A connection without a request is closed, and makes room for others; an idle stream is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import grpc.aio
import httpx
import pytest
from tests.testing.gate.echo_gate import EchoGate, running_echo_gate

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

WAIT_SECONDS = 60
CONNECTIONS = 100
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # empty SETTINGS
REQUEST = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate(idle_timeout_seconds=1) as running:
        yield running


async def until_closed(gate: EchoGate, sent: bytes) -> bytes:
    """Send bytes on a connection of their own; return what comes until Envoy closes it."""
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(sent)
    received = b""
    with suppress(ConnectionResetError):  # Envoy had not read all that was sent
        async with asyncio.timeout(WAIT_SECONDS):
            while piece := await reader.read(1024):
                received += piece
    writer.close()
    return received


async def test_connections_that_send_nothing_are_closed(gate: EchoGate) -> None:
    silent = [until_closed(gate, b"") for _ in range(CONNECTIONS)]
    assert await asyncio.gather(*silent) == [b""] * CONNECTIONS
    assert (await gate.rest.get("/health")).status_code == 200


@pytest.mark.parametrize(
    "sent", [b"GET /hea", REQUEST, HTTP2_PREFACE], ids=["half a line", "a request", "HTTP/2"]
)
async def test_a_connection_without_another_request_is_closed(gate: EchoGate, sent: bytes) -> None:
    received = await until_closed(gate, sent)
    assert (b"200 OK" in received) == (sent == REQUEST)


async def test_a_stream_may_be_idle_for_longer_than_a_connection(gate: EchoGate) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        call = IngestServiceStub(channel).IngestStream()
        for table in ("before", "after"):
            await call.write(IngestRequest(table=table))
            assert (await call.read()).acknowledgement.snapshot_id == table
            if table == "before":  # a connection without a stream is closed meanwhile
                await until_closed(gate, REQUEST)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_a_client_that_was_idle_goes_on(gate: EchoGate) -> None:
    async with (
        grpc.aio.insecure_channel(gate.envoy.http_addr) as channel,
        httpx.AsyncClient(base_url=gate.url) as rest,
    ):
        for table in ("before", "after"):
            answer = await IngestServiceStub(channel).Ingest(IngestRequest(table=table))
            assert answer.snapshot_id == table
            assert (await rest.get("/health")).status_code == 200
            if table == "before":
                await until_closed(gate, REQUEST)
