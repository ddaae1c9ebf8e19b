"""Bodies stream through Envoy: it keeps none, and callers are refused before their bodies end."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from backports import zstd
from tests.testing.gate.running_gate import RunningGate, running_gate

from lakegate.auth.tokens import new_secret

QUERIES = b"/ingest/push/queries"
TABLE = b"/v1/admin/databases/default/tables/t"
MIB = 1024 * 1024
MAX_BYTES = 4 * MIB
RIGHT = new_secret()
READER = new_secret()
PROVISIONER = new_secret()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
CHUNKED = b"Transfer-Encoding: chunked\r\n"
GZIP = b"Content-Encoding: gzip\r\nContent-Length: 1000\r\n"


SETTINGS = {
    "LAKEGATE_REQUIRE_TOKEN": "true",
    "LAKEGATE_TOKENS": f"{RIGHT} default ingest,provision\n{READER} default read\n"
    f"{PROVISIONER} default provision",
    "LAKEGATE_MAX_BODY_BYTES": str(MAX_BYTES),
}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    with running_gate(tmp_path_factory.mktemp("held") / "home", SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def impatient_gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that waits a second for a body: for tests in which none comes."""
    settings = {**SETTINGS, "LAKEGATE_READ_TIMEOUT_SECONDS": "1"}
    with running_gate(tmp_path_factory.mktemp("impatient") / "home", settings) as running:
        yield running


def memory_of_envoy(gate: RunningGate) -> int:
    processes = psutil.Process(gate.process.pid).children(recursive=True)
    return sum(each.memory_info().rss for each in processes if "envoy" in each.name())


def peak_memory_of_envoy(gate: RunningGate) -> int:
    """Return the most memory that Envoy has had."""
    [envoy] = [
        each
        for each in psutil.Process(gate.process.pid).children(recursive=True)
        if "envoy" in each.name()
    ]
    status = Path(f"/proc/{envoy.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def answer_before_the_end(
    gate: RunningGate, method: bytes, path: bytes, headers: bytes, secret: str, *pieces: bytes
) -> tuple[int, str]:
    """Send a body that never ends; give the status and the code of the answer."""
    host, _, port = gate.http_addr.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    token = f"X-Ryft-Token: {secret}\r\n".encode() if secret else b""
    head = b"%b %b HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n%b%b\r\n"
    writer.write(head % (method, path, headers, token))
    for piece in pieces:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    async with asyncio.timeout(30):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(answer.partition("content-length:")[2].split()[0])
        body = await reader.readexactly(length)
    writer.close()
    return int(answer.split()[1]), json.loads(body)["error"]["code"]


@pytest.mark.parametrize("headers", [CHUNKED, GZIP], ids=["chunked", "compressed"])
@pytest.mark.parametrize(
    ("secret", "refusal"),
    [
        ("", (401, "unauthenticated")),
        (new_secret(), (401, "unauthenticated")),
        (READER, (403, "permission_denied")),
    ],
    ids=["no token", "unknown token", "a token that may not"],
)
async def test_who_may_not_send_events_is_told_before_the_body_ends(
    gate: RunningGate, headers: bytes, secret: str, refusal: tuple[int, str]
) -> None:
    assert await answer_before_the_end(gate, b"POST", QUERIES, headers, secret) == refusal


@pytest.mark.parametrize(
    ("secret", "refusal"),
    [("", (401, "unauthenticated")), (READER, (403, "permission_denied"))],
    ids=["no token", "a token that may not"],
)
async def test_who_may_not_make_tables_is_told_before_the_body_ends(
    gate: RunningGate, secret: str, refusal: tuple[int, str]
) -> None:
    assert await answer_before_the_end(gate, b"POST", TABLE, CHUNKED, secret) == refusal


async def test_without_a_token_the_refusal_says_what_to_send(gate: RunningGate) -> None:
    async def events() -> AsyncIterator[bytes]:
        yield b"[]"

    async with httpx.AsyncClient(base_url=gate.url) as client:
        answer = await client.post(QUERIES.decode(), content=events())
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith(("grpc-", "lakegate-"))]


@pytest.mark.parametrize("path", [QUERIES, TABLE])
async def test_a_body_without_a_length_that_stops_coming_is_given_up(
    impatient_gate: RunningGate, path: bytes
) -> None:
    refusal = await answer_before_the_end(
        impatient_gate, b"POST", path, CHUNKED, RIGHT, b'{"query":"'
    )
    assert refusal == (408, "request_timeout")


@pytest.mark.parametrize("path", [QUERIES, TABLE])
async def test_a_body_without_a_length_is_kept_within_the_limit(
    gate: RunningGate, path: bytes
) -> None:
    pieces = (b'{"query":"', b"a" * (MAX_BYTES + MIB))
    refusal = await answer_before_the_end(gate, b"POST", path, CHUNKED, RIGHT, *pieces)
    assert refusal == (413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "secret", "status"),
    [
        ("/health", "", 200),
        (TABLE.decode(), READER, 404),
        ("/v1/admin/databases/default/tables", READER, 200),
        ("/v1/databases/default/tables/t/streams/s", RIGHT, 200),
    ],
    ids=["health", "table", "tables", "stream"],
)
async def test_the_body_of_a_question_is_dropped(
    gate: RunningGate, path: str, secret: str, status: int
) -> None:
    async def unfinished_string() -> AsyncIterator[bytes]:
        yield b'{"a":"'
        for _ in range(100):
            yield b"a" * MIB

    before = memory_of_envoy(gate)
    async with httpx.AsyncClient(base_url=gate.url, timeout=60) as client:
        headers = {"X-Ryft-Token": secret}
        answer = await client.request("GET", path, content=unfinished_string(), headers=headers)
    assert answer.status_code == status, answer.text
    assert memory_of_envoy(gate) - before < 50 * MIB


async def test_a_question_that_does_not_end_is_given_up(impatient_gate: RunningGate) -> None:
    refusal = await answer_before_the_end(impatient_gate, b"GET", b"/health", CHUNKED, "", b"{")
    assert refusal == (408, "request_timeout")


async def test_whoever_may_makes_a_table_without_a_length(gate: RunningGate) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"columns":[{"name":"a","type":"string"}]}'

    async with httpx.AsyncClient(base_url=gate.url) as client:
        path = "/v1/admin/databases/default/tables/chunked"
        answer = await client.post(path, content=body(), headers={"X-Ryft-Token": RIGHT})
    assert (answer.status_code, answer.json().get("table")) == (200, "chunked"), answer.text


async def test_whoever_may_sends_events_without_a_length_and_in_their_own_time(
    gate: RunningGate,
) -> None:
    event = {
        "context": {},
        "queryId": "slow",
        "query": "x" * 3 * MIB,
        "queryState": "FINISHED",
        "duration_ms": 1,
        "timestamp": "2026-03-10T12:00:00.000Z",
    }
    body = json.dumps(event).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), MIB):
            yield body[start : start + MIB]
            await asyncio.sleep(0)

    for version in (1, 2):
        async with httpx.AsyncClient(http1=version == 1, http2=version == 2) as client:
            answer = await client.post(
                gate.url + QUERIES.decode(),
                content=pieces(),
                headers={"X-Ryft-Token": RIGHT, "Content-Type": "application/json"},
            )
        assert (answer.status_code, answer.json().get("rows_ingested")) == (200, 1), answer.text


@pytest.mark.parametrize(
    ("path", "refusal"),
    [(QUERIES, (400, "invalid_query_event")), (TABLE, (413, "body_too_large"))],
)
@pytest.mark.parametrize("encoding", COMPRESS)
async def test_a_compression_bomb_takes_no_memory_of_envoy_and_is_answered(
    gate: RunningGate, path: bytes, refusal: tuple[int, str], encoding: str
) -> None:
    bomb = COMPRESS[encoding](b'[{"query":"' + b"x" * (MAX_BYTES - MIB) + b'"}]')
    assert len(bomb) < 4096
    before = memory_of_envoy(gate)
    headers = {"X-Ryft-Token": RIGHT, "Content-Encoding": encoding}
    async with httpx.AsyncClient(base_url=gate.url, timeout=60) as client:
        answers = await asyncio.gather(
            *(client.post(path.decode(), content=bomb, headers=headers) for _ in range(8))
        )
    codes = {(answer.status_code, answer.json()["error"]["code"]) for answer in answers}
    assert codes == {refusal}
    assert peak_memory_of_envoy(gate) - before < 16 * MIB


@pytest.mark.parametrize("encoding", COMPRESS)
def test_query_events_that_compress_a_thousandfold_land(gate: RunningGate, encoding: str) -> None:
    event = {
        "context": {},
        "queryId": f"dense-{encoding}",
        "query": "x" * (3 * MIB),
        "queryState": "FINISHED",
        "duration_ms": 1,
        "timestamp": "2026-03-10T12:00:00.000Z",
    }
    answer = httpx.post(
        gate.url + QUERIES.decode(),
        content=COMPRESS[encoding](json.dumps(event).encode()),
        headers={"X-Ryft-Token": RIGHT, "Content-Encoding": encoding},
        timeout=60,
    )
    assert (answer.status_code, answer.json().get("rows_ingested")) == (200, 1), answer.text
    [row] = [row for row in gate.rows("query_events") if row["query_id"] == event["queryId"]]
    assert row["query"] == event["query"]


def test_a_compressed_table_needs_the_permission_of_a_table(gate: RunningGate) -> None:
    for secret, status in ((PROVISIONER, 200), (READER, 403), ("", 401)):
        headers = {"Content-Encoding": "gzip"}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        answer = httpx.post(
            gate.url + TABLE.decode(), content=gzip.compress(b"{}"), headers=headers
        )
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", [QUERIES + b"/", TABLE + b"/", QUERIES + b"//?a=/"])
async def test_a_path_that_ends_in_a_slash_holds_a_body_for_as_few_as_the_one_without(
    gate: RunningGate, path: bytes
) -> None:
    answer = await answer_before_the_end(gate, b"POST", path, CHUNKED, "", b'{"x":"')
    assert answer == (401, "unauthenticated")
