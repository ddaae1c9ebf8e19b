"""Bodies at the limit are taken; beyond it they are refused before they are all sent."""

import gzip
import socket
from collections.abc import Iterator

import httpx
import pytest
from tests.testing.gate.memory import memory_falls_below, server_memory
from tests.testing.gate.running_gate import NDJSON, RunningGate

MIB = 1024 * 1024
LIMIT = 64 * MIB
TOO_LARGE = 70_000_000
LINE = b'{"label":"' + b"x" * (1024 - 13) + b'"}\n'


def chunks(size: int) -> Iterator[bytes]:
    chunk = LINE * 1024
    for _ in range(size // len(chunk)):
        yield chunk
    yield LINE * ((size % len(chunk)) // len(LINE) + 1)


def test_a_body_of_exactly_the_limit_is_taken(gate: RunningGate) -> None:
    answer = gate.ingest("at_the_limit", LINE * (LIMIT // len(LINE)))
    assert answer.status_code == 200
    assert answer.json()["rows_ingested"] == LIMIT // len(LINE)


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_body_over_the_limit_gets_its_413_before_it_is_all_sent(
    gate: RunningGate, framing: str
) -> None:
    host, _, port = gate.http_addr.rpartition(":")
    length = f"Content-Length: {TOO_LARGE}" if framing == "content-length" else ""
    head = f"POST /v1/ingest HTTP/1.1\r\nHost: {host}\r\nX-Table: never\r\n"
    head += f"Content-Type: {NDJSON}\r\n{length or 'Transfer-Encoding: chunked'}\r\n\r\n"
    gate.ingest("before", "{}")  # what the first request loads is not of this body
    before = server_memory(gate)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head.encode())
        sent = peak = 0
        for chunk in chunks(LIMIT + MIB):  # never the whole body
            framed = chunk if length else b"%x\r\n%b\r\n" % (len(chunk), chunk)
            try:
                connection.sendall(framed)
            except OSError:  # the gate has answered and closed
                break
            sent += len(chunk)
            peak = max(peak, server_memory(gate))
        answer = connection.recv(64 * 1024)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer
    assert sent < TOO_LARGE
    assert peak - before < 2 * LIMIT
    memory_falls_below(gate, before + LIMIT // 2)
    assert not gate.catalog().table_exists(("default", "never"))


def test_what_inflates_to_more_than_the_limit_is_refused(gate: RunningGate) -> None:
    before = server_memory(gate)
    bomb = gzip.compress(LINE * (4 * LIMIT // len(LINE)))
    answer = gate.ingest("bomb", bomb, {"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    memory_falls_below(gate, before + LIMIT)


def test_query_events_over_the_limit_are_refused(gate: RunningGate) -> None:
    answer = httpx.post(
        f"{gate.url}/ingest/push/queries",
        content=b'{"query":"' + b"x" * TOO_LARGE + b'"}',
        headers={"X-Ryft-Token": gate.token, "Content-Type": "application/json"},
        timeout=60,
    )
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
