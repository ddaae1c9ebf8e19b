"""Names, headers and properties that are to reach further than they may."""

import json
from collections.abc import Callable, Iterator

import grpc
import grpc.aio
import httpx
import pytest
from tests.testing.gate.hostile import code_of, post, quiet_gate, raw
from tests.testing.gate.running_gate import RunningGate

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub
from lakegate.v1.tables_pb2 import Column, EnsureTableRequest, GetTableRequest
from lakegate.v1.tables_pb2_grpc import TableServiceStub

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


@pytest.fixture
def channel(gate: RunningGate) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(gate.http_addr) as channel:
        yield channel


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
    forged = {"X-Request-ID": "x] made table t [y", "X-Auto-Create": "maybe"}
    answer = gate.ingest("headers", "{}", forged)
    assert answer.json()["error"]["request_id"] == forged["X-Request-ID"]
    log = (gate.home / "log").read_text()
    assert '["x] made table t [y"] refused: invalid_argument' in log
    assert "[x] made table t" not in log


async def test_two_lengths_are_refused(gate: RunningGate) -> None:
    both = b"X-Table: t\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
    two = b"X-Table: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n"
    for headers in (both, two):
        status, _ = await raw(gate, post(headers), b"{}")
        assert status == 400
