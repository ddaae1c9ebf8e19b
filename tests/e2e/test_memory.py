"""256 senders of the largest bodies at once: memory stays within its budget, nothing is lost."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests.e2e.running_gate import NDJSON, RunningGate, running_gate

MIB = 1024 * 1024
SENDERS = 256
BUDGET = 1024 * MIB
LIMIT = 1536 * MIB
LINE_BYTES = 1024
LINES_PER_CHUNK = 1024
CHUNKS = 64
BODY_BYTES = CHUNKS * LINES_PER_CHUNK * LINE_BYTES


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[RunningGate]:
    with running_gate(tmp_path / "home", {"LAKEGATE_MEMORY_BUDGET_BYTES": str(BUDGET)}) as running:
        yield running


def chunk_of(sender: int) -> bytes:
    """Give 1 MiB of rows that name their sender."""
    start = b'{"sender":"%03d","label":"' % sender
    return (start + b"x" * (LINE_BYTES - len(start) - 3) + b'"}\n') * LINES_PER_CHUNK


async def send(gate: RunningGate, sender: int) -> int:
    """Send a body of 64 MiB until it is answered; give the status."""
    host, _, port = gate.http_addr.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /v1/ingest HTTP/1.1\r\nHost: {host}\r\nX-Table: flooded\r\n"
        f"Content-Type: {NDJSON}\r\nContent-Length: {BODY_BYTES}\r\n\r\n".encode()
    )

    async def body() -> None:
        chunk = chunk_of(sender)
        with contextlib.suppress(ConnectionError):  # the gate has answered and closed
            for _ in range(CHUNKS):
                writer.write(chunk)
                await writer.drain()

    sending = asyncio.create_task(body())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    sending.cancel()
    writer.close()
    status = int(head.split()[1])
    assert status == 200 or "retry-after: " in head
    return status


@dataclass
class Peak:
    """The most memory that a process had."""

    size: int = 0


@asynccontextmanager
async def observed(process: psutil.Process) -> AsyncIterator[Peak]:
    """Look at the memory of `process` all the time."""
    peak = Peak()

    async def observe() -> None:
        while True:
            peak.size = max(peak.size, process.memory_info().rss)
            await asyncio.sleep(0.02)

    observing = asyncio.create_task(observe())
    try:
        yield peak
    finally:
        observing.cancel()


async def test_memory_stays_within_its_budget_and_nothing_is_lost(gate: RunningGate) -> None:
    server = psutil.Process(gate.process.pid)
    async with observed(server) as peak:
        statuses = await asyncio.gather(*(send(gate, sender) for sender in range(SENDERS)))
    assert peak.size < LIMIT
    assert set(statuses) == {200, 429}
    assert gate.ingest("flooded", '{"sender":"after"}').status_code == 200
    rows = Counter(gate.table("flooded").column("sender").to_pylist())
    lines = CHUNKS * LINES_PER_CHUNK
    acknowledged = {f"{sender:03d}": lines for sender, s in enumerate(statuses) if s == 200}
    assert rows == acknowledged | {"after": 1}
