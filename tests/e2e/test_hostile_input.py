"""What an attacker sends, and the answer each gets. Nothing of it is written, nothing breaks."""

import asyncio
import gzip
import json
import sys
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import grpc.aio
import httpx
import psutil
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.running_gate import RunningGate, running_gate

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub
from lakegate.v1.tables_pb2 import Column, EnsureTableRequest, GetTableRequest
from lakegate.v1.tables_pb2_grpc import TableServiceStub

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024
QUERIES = "/ingest/push/queries"
HOSTILE_NAMES = [
    "a.b",
    "a/b",
    "..",
    "../../etc/passwd",
    "a\\b",
    'a"b',
    "a'; DROP TABLE orders; --",
    "orders--",
    "a b",
    "A",
    "1a",
    "$(id)",
    "{x}",
    "%2e%2e",
    "a%00b",
    "a" * 64,
    "a" * 5000,
    "naïve",
    "таблица",
    "表",
    "a\u202eb",
    "\ufeffa",
    "*",
]


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


@contextmanager
def quiet_gate(home: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningGate]:
    """Run a gate that must log no fault of its own."""
    with running_gate(home, settings) as running:
        running.ingest("before", "{}")
        yield running
        log = (home / "log").read_text()
        assert "Traceback" not in log
        assert "unexpected" not in log


@pytest.fixture
def channel(gate: RunningGate) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(gate.http_addr) as channel:
        yield channel


def code_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    return answer.status_code, error["code"]


def memory(gate: RunningGate) -> int:
    size: int = psutil.Process(gate.process.pid).memory_info().rss
    return size


async def raw(gate: RunningGate, *pieces: bytes) -> tuple[int, str]:
    """Send bytes as they are; give the status and the body of the answer."""
    host, _, port = gate.http_addr.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(60):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split()[0])
        body = (await reader.readexactly(length)).decode()
    writer.close()
    return int(head.split()[1]), body


def post(headers: bytes, path: bytes = b"/v1/ingest") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, headers)


# Bombs: 10 MB that would be 10 GB.


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


# Bodies that take their time.


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


# Names.


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_what_is_no_name_is_refused_at_every_door(
    gate: RunningGate, channel: grpc.Channel, name: str
) -> None:
    for header in (b"X-Table: %b\r\n", b"X-Table: t\r\nX-Database: %b\r\n"):
        headers = header % name.encode() + b"Content-Length: 2\r\n"
        status, body = await raw(gate, post(headers), b"{}")
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_argument")
    calls: list[Callable[[], object]] = [
        lambda: IngestServiceStub(channel).Ingest(IngestRequest(table=name, ndjson=b"{}")),
        lambda: IngestServiceStub(channel).Ingest(
            IngestRequest(database=name, table="t", ndjson=b"{}")
        ),
        lambda: TableServiceStub(channel).GetTable(GetTableRequest(database=name, table="t")),
        lambda: TableServiceStub(channel).EnsureTable(
            EnsureTableRequest(
                database="default", table="t", columns=[Column(name=name, type="int")]
            )
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as refusal:
            call()
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "\x00", "\r\nX-Table: t"])
def test_what_is_no_name_is_refused_in_a_path(gate: RunningGate, name: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in name.encode())
    for path in (
        f"/v1/admin/databases/{encoded}/tables/t",
        f"/v1/admin/databases/d/tables/{encoded}",
    ):
        for method in ("GET", "POST"):
            answer = httpx.request(method, gate.url + path, json={} if method == "POST" else None)
            status, _ = code_of(answer)
            assert status in {400, 404}, (path, answer.text)
    assert [path.name for path in (gate.home / "warehouse").iterdir()] == ["default"]


def test_a_body_cannot_name_another_table_than_the_path(gate: RunningGate) -> None:
    path = f"{gate.url}/v1/admin/databases/default/tables/from_path"
    for body in ({"table": "from_body"}, {"database": "other"}):
        answer = httpx.post(path, json=body)
        assert code_of(answer) == (400, "invalid_argument")
        assert next(iter(body)) in answer.json()["error"]["message"]
    assert not gate.catalog().table_exists(("default", "from_path"))
    assert not gate.catalog().table_exists(("default", "from_body"))
    assert httpx.post(path, json={"database": "default", "table": "from_path"}).status_code == 200
    for query in ("table=from_body", "database=other"):
        assert httpx.get(f"{path}?{query}").status_code == 400
    assert httpx.get(path).json()["table"] == "from_path"


# Properties.


@pytest.mark.parametrize(
    "properties",
    [
        {"py-io-impl": "sys.exit"},
        {"py-io-impl": "faulthandler._sigsegv"},
        {"write.py-location-provider.impl": "antigravity.X"},
        {"write.data.path": "file:///any", "write.metadata.path": "file:///any"},
        {"write.data.path": "s3://evil/x", "s3.endpoint": "http://127.0.0.1:19555"},
        {"lakegate.type.1": "garbage"},
        {"format-version": "99"},
        {"history.expire.max-snapshot-age-ms": "x"},
    ],
)
def test_a_table_is_given_no_property_that_does_harm(
    gate: RunningGate, properties: dict[str, str]
) -> None:
    path = f"{gate.url}/v1/admin/databases/default/tables/harmed"
    answer = httpx.post(path, json={"properties": properties})
    assert code_of(answer) == (400, "invalid_argument")
    assert any(key in answer.json()["error"]["message"] for key in properties)
    assert httpx.get(path).status_code == 404


# Partitions.


def test_a_row_that_storage_cannot_name_harms_nobody_else(gate: RunningGate) -> None:
    path = f"{gate.url}/v1/admin/databases/default/tables/by_label"
    columns = [{"name": "label", "type": "string"}]
    answer = httpx.post(path, json={"columns": columns, "partition_by": ["label"]})
    assert answer.status_code == 200
    with ThreadPoolExecutor(8) as senders:
        labels = ["z" * 300 if number % 8 == 0 else f"g{number % 8}" for number in range(64)]
        answers = list(
            senders.map(lambda label: gate.ingest("by_label", json.dumps({"label": label})), labels)
        )
    for label, answer in zip(labels, answers, strict=True):
        assert answer.status_code == (400 if label.startswith("z") else 200), answer.text
        assert "zzz" not in answer.text
    assert len(gate.rows("by_label")) == 56


# Headers.


@pytest.mark.parametrize("byte", [0, 1, 7, 8, 11, 12, 27, 31, 127, 128, 0xC3, 255])
@pytest.mark.parametrize(
    "header",
    ["X-Table", "X-Idempotency-Key", "X-Auto-Create", "X-Request-ID", "Authorization"],
)
async def test_control_bytes_in_a_header_are_refused_or_do_no_harm(
    gate: RunningGate, header: str, byte: int
) -> None:
    prefix = b"Bearer " if header == "Authorization" else b""
    hostile = b"%b: %ba%cb\r\n" % (header.encode(), prefix, byte)
    table = b"" if header == "X-Table" else b"X-Table: headers\r\n"
    status, body = await raw(gate, post(table + hostile + b"Content-Length: 2\r\n"), b"{}")
    harmless = header in {"X-Request-ID", "X-Idempotency-Key"} and byte >= 128
    if harmless and status == 200:
        return
    wanted = {400, 401} if header == "Authorization" else {400}
    assert status in wanted, body
    assert json.loads(body)["error"]["code"] in {"invalid_argument", "unauthenticated"}


async def test_a_header_cannot_smuggle_another_in(gate: RunningGate) -> None:
    smuggled = b"X-Request-ID: a\rX-Table: smuggled\r\nContent-Length: 2\r\n"
    status, _ = await raw(gate, post(smuggled), b"{}")
    assert status == 400
    forged = {"X-Request-ID": "x] created table t [y", "X-Auto-Create": "maybe"}
    answer = gate.ingest("headers", "{}", forged)
    assert uuid.UUID(answer.json()["error"]["request_id"])
    assert "created table t" not in (gate.home / "log").read_text()


async def test_two_lengths_are_refused(gate: RunningGate) -> None:
    both = b"X-Table: t\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
    two = b"X-Table: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n"
    for headers in (both, two):
        status, _ = await raw(gate, post(headers), b"{}")
        assert status == 400


# Tables and columns without end.


def test_ten_thousand_columns_in_a_request_become_thirty_two(gate: RunningGate) -> None:
    row = {f"c{i}": i for i in range(10_000)}
    answer = gate.ingest("many_columns", json.dumps(row))
    assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 1)
    [landed] = gate.rows("many_columns")
    assert len(landed) == 4 + 32
    assert len(json.loads(landed["props"])) == 10_000 - 32


def test_a_table_has_at_most_a_thousand_columns(gate: RunningGate) -> None:
    for request in range(40):
        row = {f"r{request}_{i}": i for i in range(32)}
        assert gate.ingest("growing", json.dumps(row)).status_code == 200
    assert gate.table("growing").num_columns == 1000


def test_deep_json_is_refused_or_kept(gate: RunningGate) -> None:
    for depth in (64, 1000, 100_000):
        body = '{"a":' + "[" * depth + "]" * depth + "}"
        answer = gate.ingest("deep", body)
        assert answer.status_code in {200, 400}
        event = httpx.post(
            gate.url + QUERIES,
            content=body,
            headers={"X-Ryft-Token": gate.token or "", "Content-Type": "application/json"},
        )
        assert event.status_code == 400
    assert gate.ingest("deep", "{}").status_code == 200


def test_nothing_landed_outside_of_the_home(gate: RunningGate) -> None:
    assert gate.catalog().list_namespaces() == [("default",)]
    assert not [path for path in Path(gate.home).parent.iterdir() if path.name != "home"]
