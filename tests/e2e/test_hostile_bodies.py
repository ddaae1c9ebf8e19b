"""Bombs and bodies that take their time: nothing of them is written, nothing breaks."""

import asyncio
import gzip
import json
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import grpc
import grpc.aio
import httpx
import psutil
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.hostile import code_of, post, quiet_gate, raw
from tests.testing.gate.running_gate import RunningGate

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024
QUERIES = "/ingest/push/queries"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    with quiet_gate(tmp_path_factory.mktemp("hostile") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def impatient_gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that waits a second for a body: for tests in which none comes."""
    settings = {"LAKEGATE_READ_TIMEOUT_SECONDS": "1"}
    with quiet_gate(tmp_path_factory.mktemp("impatient") / "home", settings) as running:
        yield running


def memory(gate: RunningGate) -> int:
    size: int = psutil.Process(gate.process.pid).memory_info().rss
    return size


def gzip_bomb() -> bytes:
    return gzip.compress(bytes(10 * MIB)) * 1000


def gzip_bomb_of_one_member() -> bytes:
    compressor = zlib.compressobj(9, wbits=31)
    zeros = bytes(16 * MIB)
    return b"".join(compressor.compress(zeros) for _ in range(64)) + compressor.flush()


def zstd_bomb() -> bytes:
    return zstd.compress(bytes(100 * MIB)) * 100


@pytest.mark.parametrize("path", ["/v1/ingest", QUERIES])
@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [("gzip", gzip_bomb), ("gzip", gzip_bomb_of_one_member), ("zstd", zstd_bomb)],
)
def test_a_bomb_is_refused_within_the_memory_that_a_body_may_have(
    gate: RunningGate, path: str, encoding: str, bomb: Callable[[], bytes]
) -> None:
    body = bomb()
    before = memory(gate)
    headers = {
        "X-Table": "bombed",
        "X-Ryft-Token": gate.token or "",
        "Content-Encoding": encoding,
        "Content-Type": "application/json",
    }
    with httpx.Client(timeout=60) as http:
        answer = http.post(gate.url + path, content=body, headers=headers)
    assert code_of(answer) == (413, "body_too_large")
    assert memory(gate) - before < 3 * 64 * MIB
    assert not gate.catalog().table_exists(("default", "bombed"))


@pytest.mark.parametrize("path", ["/v1/ingest", QUERIES])
async def test_a_body_that_stops_halfway_is_given_up(
    impatient_gate: RunningGate, path: str
) -> None:
    gate = impatient_gate
    headers = b"X-Table: slow\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
    headers += f"X-Ryft-Token: {gate.token}\r\n".encode()
    status, body = await raw(gate, post(headers, path.encode()), b'{"query":"')
    assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")
    assert not gate.catalog().table_exists(("default", "slow"))


@pytest.mark.parametrize("path", [b"/v1/ingest", QUERIES.encode()])
async def test_a_body_that_trickles_is_given_up_too(
    impatient_gate: RunningGate, path: bytes
) -> None:
    gate = impatient_gate
    host, _, port = gate.http_addr.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = f"X-Ryft-Token: {gate.token}\r\nContent-Type: application/json\r\n".encode()
    writer.write(post(token + b"X-Table: slow\r\nContent-Length: 1000000\r\n", path))

    async def trickle() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.01)

    trickling = asyncio.create_task(trickle())
    async with asyncio.timeout(30):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    trickling.cancel()
    writer.close()


async def test_a_million_tiny_chunks_are_one_body(gate: RunningGate) -> None:
    size = 1_000_000
    row = b'{"label":"%b"}' % (b"x" * (size - 12))
    chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in row) + b"0\r\n\r\n"
    headers = b"X-Table: in_chunks\r\nTransfer-Encoding: chunked\r\n"
    status, body = await raw(gate, post(headers), chunked)
    assert (status, json.loads(body)["rows_ingested"]) == (200, 1)


async def test_tiny_messages_are_one_body(gate: RunningGate) -> None:
    async def letters() -> AsyncIterator[HttpBody]:
        for byte in b'{"label":"%b"}' % (b"x" * 5000):
            yield HttpBody(data=bytes([byte]))

    async with grpc.aio.insecure_channel(gate.grpc_addr) as channel:
        metadata = (("x-table", "in_messages"),)
        done = await IngestServiceStub(channel).IngestBody(letters(), metadata=metadata)
    assert done.rows_ingested == 1


async def test_a_sender_who_never_listens_is_held_back(gate: RunningGate) -> None:
    sent = 0
    batch = IngestRequest(table="unheard", ndjson=b"%b\n" % (b" " * MIB))
    async with grpc.aio.insecure_channel(gate.http_addr) as channel:
        call = IngestServiceStub(channel).IngestStream()
        before = memory(gate)
        quiet = time.monotonic() + 20
        while time.monotonic() < quiet:
            try:
                async with asyncio.timeout(2):
                    await call.write(batch)
            except TimeoutError:
                break
            sent += 1
            if sent > 1000:
                break
        call.cancel()
        assert memory(gate) - before < 512 * MIB
    assert gate.ingest("after_the_unheard", "{}").status_code == 200
