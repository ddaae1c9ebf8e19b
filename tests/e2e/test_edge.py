"""Envoy as the edge: what it lets through, what it keeps to itself, what it does under pressure."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.testing.gate.echo_gate import EchoGate, free_ports, running_echo_gate

from lakegate.edge.process import running_envoy
from lakegate.wire import EXPECTED_SIZE_KEY

WAIT_SECONDS = 30


@pytest.fixture
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


async def test_the_length_that_the_server_is_told_is_envoys(gate: EchoGate) -> None:
    lie = {EXPECTED_SIZE_KEY: "1", "X-Table": "t"}
    await gate.rest.post("/v1/ingest", content=b"x" * 1000, headers=lie)
    assert gate.echo.metadata[-1][EXPECTED_SIZE_KEY] == "1000"

    async def chunked() -> AsyncIterator[bytes]:
        yield b"x"

    await gate.rest.post("/v1/ingest", content=chunked(), headers=lie)
    assert gate.echo.metadata[-1][EXPECTED_SIZE_KEY] == "0"


@pytest.mark.parametrize("path", ["/v1%2fingest", "/v1%5Cingest", "/health%2F"])
async def test_a_path_with_an_escaped_slash_is_refused(gate: EchoGate, path: str) -> None:
    answer = await gate.rest.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("path", ["//health", "/v1/../health", "/./health", "/a//../../health"])
async def test_a_path_has_one_spelling(gate: EchoGate, path: str) -> None:
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()


@pytest.mark.parametrize("path", ["/health", "/nowhere"])
async def test_answers_tell_nothing_of_what_runs_behind(gate: EchoGate, path: str) -> None:
    answer = await gate.rest.get(path)
    assert answer.headers["server"] == "lakegate"
    assert not [name for name in answer.headers if name.startswith(("x-envoy", "grpc", "via"))]


async def test_without_memory_envoy_says_so() -> None:
    settings = free_ports().model_copy(update={"envoy_memory_bytes": 1})
    async with (
        running_echo_gate() as gate,
        running_envoy(settings, f"127.0.0.1:{gate.port}") as full,
        httpx.AsyncClient(base_url=f"http://{full.http_addr}", timeout=WAIT_SECONDS) as rest,
    ):
        deadline = time.monotonic() + WAIT_SECONDS
        while (answer := await rest.get("/health")).status_code == 200:
            assert time.monotonic() < deadline  # it looks four times a second
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
    assert answer.headers["retry-after"] == "1"
