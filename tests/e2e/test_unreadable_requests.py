"""What Envoy refuses before it has read a request as HTTP: each is told why, in the vocabulary."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from tests.testing.gate.echo_gate import EchoGate, running_echo_gate
from tests.testing.gate.raw_http import read_answer
from tests.testing.gate.refusals import answer_to

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


async def test_what_is_no_http_is_refused_in_the_vocabulary(gate: EchoGate) -> None:
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\x01b\r\n\r\n")
    status, error = await read_answer(reader)
    writer.close()
    assert (status, error["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("version", [1, 2])
async def test_headers_that_are_too_large_are_refused_in_the_vocabulary(
    gate: EchoGate, version: int
) -> None:
    calls = len(gate.echo.metadata)
    async with httpx.AsyncClient(
        base_url=gate.url, http1=version == 1, http2=version == 2
    ) as client:
        answer = await client.get("/health", headers={"X-Large": "a" * 17_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (431, "invalid_argument")
    assert len(gate.echo.metadata) == calls


async def test_headers_that_nobody_reads_are_refused_in_the_vocabulary(gate: EchoGate) -> None:
    answer = await gate.rest.get("/health", headers={"X-Large": "a" * 100_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (431, "invalid_argument")
    assert answer.json()["error"]["message"] == "the headers are too large"


@pytest.mark.parametrize(
    "coding", ["identity", "xchunked", "gzip, chunked", "chunked, chunked", "gzip"]
)
async def test_a_transfer_encoding_that_is_not_spoken_is_the_callers_fault(
    gate: EchoGate, coding: str
) -> None:
    request = f"POST /v1/ingest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
    status, error = await answer_to(gate, request)
    assert (status, error["code"]) == (400, "invalid_argument")
    assert error["message"] == "Transfer-Encoding must be chunked"


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ("GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "escaped slash"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "fragment"),
        (
            "GET /health HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            400,
            "upgrade",
        ),
        ("GET /health HTTP/1.1\r\n\r\n", 400, "no Host"),
        ("GET /health HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400, "character"),
    ],
)
async def test_what_is_refused_unread_is_told_why(
    gate: EchoGate, request_: str, status: int, words: str
) -> None:
    given, error = await answer_to(gate, request_)
    assert (given, error["code"]) == (status, "invalid_argument")
    assert words in error["message"]


async def test_connect_is_refused_and_nothing_else_happens(gate: EchoGate) -> None:
    # Envoy's log, which the gate looks at, has no error of the script.
    status, error = await answer_to(gate, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (status, error["code"]) == (404, "not_found")
