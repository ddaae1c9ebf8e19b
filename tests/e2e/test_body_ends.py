"""Envoy tells the server where a body ends, whatever its framing; a message tells it itself."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence

import grpc.aio
import h2.connection
import h2.errors
import h2.events
import httpx
import pytest
import pytest_asyncio
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.echo_gate import EchoGate, running_echo_gate
from tests.testing.gate.running_gate import RunningGate

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub
from lakegate.wire import BODY_END_KEY

module_loop = pytest.mark.asyncio(loop_scope="module")
MIB = 1024 * 1024
FORGED = {BODY_END_KEY: "mark"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


async def pieces_of(body: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece


@module_loop
@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("body", [[], [b"x"], [b"x" * MIB] * 20], ids=["empty", "small", "large"])
async def test_a_body_is_whole_with_a_length_and_without(
    echo: EchoGate,
    http2: bool,  # noqa: FBT001 - a parameter of the test
    body: Sequence[bytes],
) -> None:
    size = sum(map(len, body))
    async with httpx.AsyncClient(
        base_url=echo.url, http1=not http2, http2=http2, timeout=60
    ) as client:
        with_length = {**FORGED, "Content-Length": str(size)}
        for headers in (FORGED, with_length):
            answer = await client.post("/v1/ingest", content=pieces_of(body), headers=headers)
            assert (answer.status_code, answer.json()["bytes_written"]) == (200, size)
            told = echo.echo.metadata[-1][BODY_END_KEY]
            assert told.startswith("mark")


@module_loop
async def test_a_request_without_a_body_is_an_empty_one(echo: EchoGate) -> None:
    reader, writer = await asyncio.open_connection(*echo.address)
    writer.write(b"POST /v1/ingest HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    assert echo.echo.metadata[-1][BODY_END_KEY] == "mark"


@module_loop
async def test_the_word_for_the_end_is_another_for_each_request(echo: EchoGate) -> None:
    seen = set()
    for _ in range(10):
        await echo.rest.post("/v1/ingest", content=pieces_of([b"x"]), headers=FORGED)
        seen.add(echo.echo.metadata[-1][BODY_END_KEY])
    assert len(seen) == 10


@module_loop
async def test_callers_of_grpc_cannot_say_where_a_body_ends(echo: EchoGate) -> None:
    async with grpc.aio.insecure_channel(echo.envoy.http_addr) as channel:
        answer = await IngestServiceStub(channel).IngestBody(
            iter([HttpBody(data=b"xyz")]), metadata=tuple(FORGED.items())
        )
    assert answer.bytes_written == 3
    assert BODY_END_KEY not in echo.echo.metadata[-1]


class Stream:
    """One request over HTTP/2, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.frames = h2.connection.H2Connection()

    @classmethod
    async def begin(cls, address: str, path: str, headers: dict[str, str]) -> "Stream":
        host, _, port = address.rpartition(":")
        stream = cls(*await asyncio.open_connection(host, int(port)))
        stream.frames.initiate_connection()
        head = {":method": "POST", ":path": path, ":authority": host, ":scheme": "http"}
        stream.frames.send_headers(1, [*(head | headers).items()])
        return stream

    async def flush(self) -> None:
        self._writer.write(self.frames.data_to_send())
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Read the answer; close the connection."""
        await self.flush()
        status, body = 0, b""
        while data := await self._reader.read(64 * 1024):
            for event in self.frames.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers or ())[b":status"])
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                elif isinstance(event, h2.events.StreamEnded):
                    self._writer.close()
                    return status, body
        raise AssertionError("the connection was closed before the answer")

    async def reset(self) -> None:
        """Send what there is, then reset the stream; return when the server knows."""
        self.frames.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
        self.frames.ping(b"is it so")
        await self.flush()
        while data := await self._reader.read(64 * 1024):
            if any(
                isinstance(event, h2.events.PingAckReceived)
                for event in self.frames.receive_data(data)
            ):
                break
        self._writer.close()


@module_loop
@pytest.mark.parametrize("body", [b"", b"{}"], ids=["empty", "small"])
@pytest.mark.parametrize("length", [True, False], ids=["with a length", "without"])
async def test_a_body_may_end_in_trailers(
    echo: EchoGate,
    body: bytes,
    length: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    headers = {"content-length": str(len(body))} if length else {}
    stream = await Stream.begin(echo.envoy.http_addr, "/v1/ingest", headers)
    if body:
        stream.frames.send_data(1, body)
    stream.frames.send_headers(1, [("x-checksum", "1")], end_stream=True)
    status, answer = await stream.answer()
    assert (status, json.loads(answer)["bytes_written"]) == (200, len(body))


@module_loop
async def test_the_refusal_of_a_body_that_ends_in_trailers_has_its_status(echo: EchoGate) -> None:
    headers = {"x-refuse": "TABLE_NOT_FOUND"}
    stream = await Stream.begin(echo.envoy.http_addr, "/v1/ingest", headers)
    stream.frames.send_data(1, b"{}")
    stream.frames.send_headers(1, [("x-checksum", "1")], end_stream=True)
    assert (await stream.answer())[0] == 404


async def test_a_compressed_body_without_a_length_lands(gate: RunningGate) -> None:
    body = gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n')
    async with httpx.AsyncClient(base_url=gate.url, timeout=60) as client:
        answer = await client.post(
            "/v1/ingest",
            content=pieces_of([body]),
            headers={"X-Table": "ends", "Content-Encoding": "gzip"},
        )
    assert answer.json()["rows_ingested"] == 2
    assert sorted(row["a"] for row in gate.rows("ends")) == ["1", "2"]


@pytest.mark.parametrize("method", ["Ingest", "IngestStream"])
@pytest.mark.parametrize("door", ["direct", "through Envoy"])
async def test_half_a_message_is_never_committed(gate: RunningGate, method: str, door: str) -> None:
    table = f"half_{method}_{door[0]}".lower()
    assert gate.ingest(table, '{"a":"before"}').status_code == 200
    message = IngestRequest(table=table, ndjson=b'{"a":1}\n{"a":2}\n').SerializeToString()
    frame = b"\0" + len(message).to_bytes(4) + message
    address = gate.grpc_addr if door == "direct" else gate.http_addr
    headers = {"content-type": "application/grpc", "te": "trailers"}
    for cut in (3, 5, len(frame) - 8, len(frame) - 1):
        path = f"/lakegate.v1.IngestService/{method}"
        stream = await Stream.begin(address, path, headers)
        stream.frames.send_data(1, frame[:cut])
        await stream.reset()
    assert gate.ingest(table, '{"a":"after"}').status_code == 200
    assert sorted(row["a"] for row in gate.rows(table)) == ["after", "before"]
