"""A load of POST requests over kept-alive HTTP/1.1 connections, and what it saw."""

import asyncio
import time
import uuid
from dataclasses import dataclass

LINE = (
    b'{"_timestamp":"2026-05-02T10:00:00Z","order_id":"o-123456","amount_cents":4200,'
    b'"status":"placed","customer":"c-778899","region":"eu-west-1","note":"left at the door"}\n'
)


@dataclass(frozen=True, slots=True)
class Load:
    """So many connections, each sending so many rows a request, one request after the other."""

    connections: int
    rows: int

    def __str__(self) -> str:
        """Name the load in the report."""
        return f"{self.connections} connections x {self.rows} rows"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a load saw: requests a second, and latencies in milliseconds."""

    requests_per_second: float
    median_ms: float
    p99_ms: float


async def run(address: str, load: Load, seconds: float, table: str, *, keyed: bool = False) -> Seen:
    """Send `load` to `POST /v1/ingest` at `address` for so many seconds.

    `keyed`: whether each request has an idempotency key of its own.

    Raises `RuntimeError` for any answer but 200: a benchmark of refusals says nothing.
    """
    body = LINE * load.rows
    head = (
        f"POST /v1/ingest HTTP/1.1\r\nHost: {address}\r\nX-Table: {table}\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n"
    )
    latencies: list[float] = []
    begun = time.perf_counter()

    async def connection() -> None:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        while (sent := time.perf_counter()) < begun + seconds:
            key = f"X-Idempotency-Key: {uuid.uuid4()}\r\n" if keyed else ""
            writer.write(f"{head}{key}\r\n".encode() + body)
            await writer.drain()
            await _read_answer(reader)
            latencies.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(load.connections)))
    elapsed = time.perf_counter() - begun
    latencies.sort()
    return Seen(
        requests_per_second=len(latencies) / elapsed,
        median_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1000,
    )


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    if " 200 " not in head.partition("\r\n")[0]:
        raise RuntimeError(body.decode())
