"""Senders that break off in the middle of a body, each in its own way."""

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import grpc.aio
import h2.connection
import h2.errors
import httpx
import pyarrow as pa
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.running_gate import NDJSON, RunningGate

from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

ARROW = "application/vnd.apache.arrow.stream"
PATH = "/v1/ingest"
# A reset throws away what waits to be sent.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Upload:
    """A body in pieces, with its headers: of these pieces `cut` are sent.

    Whatever number of pieces it is, they could be a body by themselves.
    """

    pieces: Sequence[bytes]
    cut: int
    headers: Mapping[str, str]
    pause: float

    @property
    def sent(self) -> Sequence[bytes]:
        return self.pieces[: self.cut]

    @property
    def whole(self) -> bytes:
        return b"".join(self.pieces)

    async def break_off(self) -> None:
        """Return when the sender is to be gone: a moment later, now or when it may be there."""
        await asyncio.sleep(self.pause)


Encode: TypeAlias = Callable[[Sequence[str]], list[bytes]]
Send: TypeAlias = Callable[[RunningGate, Upload], Awaitable[None]]


def ndjson(rows: Sequence[str]) -> list[bytes]:
    """Encode rows, each a piece."""
    return [b'{"row":"%s"}\n' % row.encode() for row in rows]


def gzip_members(rows: Sequence[str]) -> list[bytes]:
    """Compress rows, each a member, as tools do that append to a file."""
    return [gzip.compress(line) for line in ndjson(rows)]


def arrow_batches(rows: Sequence[str]) -> list[bytes]:
    """Encode rows, each a record batch; the schema is before the first, the marker a piece."""
    sink = pa.BufferOutputStream()
    ends = [0]
    with pa.ipc.new_stream(sink, pa.schema([("row", pa.string())])) as writer:
        for row in rows:
            writer.write_batch(pa.record_batch({"row": [row]}))
            ends.append(sink.tell())
    body = sink.getvalue().to_pybytes()
    ends.append(len(body))
    return [body[start:end] for start, end in pairwise(ends)]


class _BrokenOffError(Exception):
    """The generator has no more to give."""


async def failing_generator(gate: RunningGate, upload: Upload) -> None:
    """Send from a generator that raises."""

    async def body() -> AsyncIterator[bytes]:
        for piece in upload.sent:
            yield piece
        await upload.break_off()
        raise _BrokenOffError

    async with httpx.AsyncClient(base_url=gate.url, timeout=60) as client:
        with suppress(_BrokenOffError):
            await client.post(PATH, content=body(), headers=dict(upload.headers))


async def closed_connection(
    gate: RunningGate, upload: Upload, *, reset: bool, length: bool
) -> None:
    """Close the connection (FIN), or reset it (RST)."""
    host, _, port = gate.http_addr.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    framing = f"Content-Length: {len(upload.whole)}" if length else "Transfer-Encoding: chunked"
    headers = "".join(f"{name}: {value}\r\n" for name, value in upload.headers.items())
    writer.write(f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\n{headers}{framing}\r\n\r\n".encode())
    for piece in upload.sent:
        writer.write(piece if length else b"%x\r\n%b\r\n" % (len(piece), piece))
    await writer.drain()
    await upload.break_off()
    if reset:
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.close()
    with suppress(ConnectionError):
        await reader.read()  # what is said to who has gone


async def reset_stream(gate: RunningGate, upload: Upload, *, length: bool) -> None:
    """Reset one stream of an HTTP/2 connection, which stays."""
    host, _, port = gate.http_addr.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    head = {":method": "POST", ":path": PATH, ":authority": host, ":scheme": "http"}
    framing = {"content-length": str(len(upload.whole))} if length else {}
    headers = {name.lower(): value for name, value in upload.headers.items()}
    connection.send_headers(1, [*(head | framing | headers).items()])
    for piece in upload.sent:
        connection.send_data(1, piece)
    writer.write(connection.data_to_send())
    await writer.drain()
    await upload.break_off()
    connection.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
    writer.write(connection.data_to_send())
    await writer.drain()
    writer.close()


async def cancelled_call(gate: RunningGate, upload: Upload, *, direct: bool) -> None:
    """Cancel a call of gRPC that streams."""
    address = gate.grpc_addr if direct else gate.http_addr
    metadata = [(name.lower(), value) for name, value in upload.headers.items()]
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = IngestServiceStub(channel).IngestBody(metadata=metadata)
        for piece in upload.sent:
            await call.write(HttpBody(content_type=upload.headers["Content-Type"], data=piece))
        await upload.break_off()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


# How the rows are encoded, the headers that say so, and how they are sent.
WAYS: Mapping[str, tuple[Encode, Mapping[str, str], Send]] = {
    "generator": (ndjson, {"Content-Type": NDJSON}, failing_generator),
    "FIN": (
        ndjson,
        {"Content-Type": NDJSON},
        partial(closed_connection, reset=False, length=False),
    ),
    "RST": (ndjson, {"Content-Type": NDJSON}, partial(closed_connection, reset=True, length=False)),
    "FIN, length": (
        ndjson,
        {"Content-Type": NDJSON},
        partial(closed_connection, reset=False, length=True),
    ),
    "RST, length": (
        ndjson,
        {"Content-Type": NDJSON},
        partial(closed_connection, reset=True, length=True),
    ),
    "gzip": (
        gzip_members,
        {"Content-Type": NDJSON, "Content-Encoding": "gzip"},
        failing_generator,
    ),
    "Arrow": (arrow_batches, {"Content-Type": ARROW}, failing_generator),
    "HTTP/2 reset": (ndjson, {"Content-Type": NDJSON}, partial(reset_stream, length=False)),
    "HTTP/2 reset, length": (ndjson, {"Content-Type": NDJSON}, partial(reset_stream, length=True)),
    "gRPC": (ndjson, {"Content-Type": NDJSON}, partial(cancelled_call, direct=True)),
    "gRPC through Envoy": (ndjson, {"Content-Type": NDJSON}, partial(cancelled_call, direct=False)),
}
