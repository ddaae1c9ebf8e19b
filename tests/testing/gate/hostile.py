"""What tests of hostile senders share: a gate that must stay quiet, and bytes sent as they are."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.testing.gate.running_gate import RunningGate, running_gate


@contextmanager
def quiet_gate(home: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningGate]:
    """Run a gate that must log no fault of its own, and write nothing outside of its home."""
    with running_gate(home, settings) as running:
        running.ingest("before", "{}")
        yield running
        log = (home / "log").read_text()
        assert "Traceback" not in log
        assert "unexpected" not in log
        assert running.catalog().list_namespaces() == [("default",)]
        assert [path for path in home.parent.iterdir() if path != home] == []


def code_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    return answer.status_code, error["code"]


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
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (path, headers)
