"""Attacks on the memory and the time of a gate, with one token or none.

Each is one round, which several attackers repeat until they are stopped.
"""

import asyncio
import gzip
import itertools
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from functools import cache
from typing import Any, TypeAlias

import grpc
import grpc.aio
import httpx
import pyarrow as pa
from tests.testing.decode.arrow_bodies import stream

MIB = 1024 * 1024
ATTACKERS = 9
_SECONDS = 60
# For an attack whose test was killed.
_LONGEST_SECONDS = 300
_numbers = itertools.count()


@dataclass(frozen=True)
class Target:
    """A gate, and the token and database that attackers have."""

    http_addr: str
    token: str
    database: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "X-Database": self.database}


Attack: TypeAlias = Callable[[Target], Awaitable[None]]


async def announced_bodies(target: Target) -> None:
    """Announce the largest body, and send none of it."""
    await _unfinished_body(target, b"")


async def half_sent_bodies(target: Target) -> None:
    """Announce the largest body, send most of it, and then no more."""
    await _unfinished_body(target, b'{"label":"' + b"x" * 48 * MIB)


async def _unfinished_body(target: Target, sent: bytes) -> None:
    host, _, port = target.http_addr.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        headers = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
        writer.write(
            f"POST /v1/ingest HTTP/1.1\r\nHost: {host}\r\nX-Table: t{next(_numbers)}\r\n"
            f"{headers}Content-Length: {64 * MIB}\r\n\r\n".encode()
        )
        writer.write(sent)
        await reader.read()
    finally:
        writer.transport.abort()


async def compressed_health_checks(target: Target) -> None:
    """Send 60 MiB to a health check, compressed to 60 kB."""
    await _call_compressed(target, "grpc.health.v1.Health/Check")


async def compressed_messages(target: Target) -> None:
    """Send 60 MiB as a batch, compressed to 60 kB."""
    await _call_compressed(target, "lakegate.v1.IngestService/Ingest")


async def _call_compressed(target: Target, method: str) -> None:
    grpc_headers = {"content-type": "application/grpc", "te": "trailers", "grpc-encoding": "gzip"}
    async with httpx.AsyncClient(http1=False, http2=True, timeout=_SECONDS) as client:
        await client.post(
            f"http://{target.http_addr}/{method}",
            content=_compressed_message(),
            headers={**target.headers, **grpc_headers},
        )


async def large_health_checks(target: Target) -> None:
    """Send 60 MiB to a health check, without compression."""
    headers = {"content-type": "application/grpc", "te": "trailers"}
    async with httpx.AsyncClient(http1=False, http2=True, timeout=_SECONDS) as client:
        await client.post(
            f"http://{target.http_addr}/grpc.health.v1.Health/Check",
            content=b"\0" + (60 * MIB).to_bytes(4, "big") + bytes(60 * MIB),
            headers=headers,
        )


async def health_watches(target: Target) -> None:
    """Open as many watches of the health as a connection takes, and keep them."""
    async with grpc.aio.insecure_channel(
        target.http_addr, [("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        watches = [watch(b"", timeout=_SECONDS) for _ in range(100)]
        await asyncio.gather(*(each.code() for each in watches))


async def inflating_events(target: Target) -> None:
    """Push query events of 64 kB that inflate to 64 MiB."""
    headers = {"X-Ryft-Token": target.token, "Content-Encoding": "gzip"}
    await _post(target, "/ingest/push/queries", _zeros(), headers)


async def inflating_rows(target: Target) -> None:
    """Send rows of 64 kB that inflate to 64 MiB."""
    headers = target.headers | {"Content-Encoding": "gzip", "X-Table": "inflating"}
    await _post(target, "/v1/ingest", _zeros(), headers)


async def dictionary_bombs(target: Target) -> None:
    """Send Arrow bodies of a few kB that have 60 million rows."""
    headers = target.headers | {
        "Content-Type": "application/vnd.apache.arrow.stream",
        "X-Table": "bombs",
    }
    await _post(target, "/v1/ingest", _dictionary_bomb(), headers)


async def wide_tables(target: Target) -> None:
    """Request tables with 30,000 columns."""
    path = f"/v1/admin/databases/{target.database}/tables/wide_{next(_numbers)}"
    await _post(target, path, _wide_table(), target.headers)


async def _post(target: Target, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    async with httpx.AsyncClient(base_url=f"http://{target.http_addr}") as client:
        await client.post(path, content=body, headers=headers, timeout=_SECONDS)


@cache
def _compressed_message() -> bytes:
    message = gzip.compress(bytes(60 * MIB))
    return b"\1" + len(message).to_bytes(4, "big") + message


@cache
def _zeros() -> bytes:
    return gzip.compress(b'[{"query":"' + b"0" * (64 * MIB - 15) + b'"}]')


@cache
def _dictionary_bomb() -> bytes:
    buffer = pa.py_buffer(bytes(60_000_000))
    indices = pa.Array.from_buffers(pa.int8(), 60_000_000, [None, buffer])
    return stream({"a": pa.DictionaryArray.from_arrays(indices, ["x" * 100])}, "zstd")


@cache
def _wide_table() -> bytes:
    columns = ",".join(f'{{"name":"column_{i}","type":"string"}}' for i in range(30_000))
    return f'{{"columns":[{columns}]}}'.encode()


ATTACKS: Mapping[str, Attack] = {
    each.__name__: each
    for each in (
        announced_bodies,
        half_sent_bodies,
        compressed_health_checks,
        compressed_messages,
        large_health_checks,
        health_watches,
        inflating_events,
        inflating_rows,
        dictionary_bombs,
        wide_tables,
    )
}


@contextmanager
def under(attack: str, target: Target) -> Iterator[None]:
    """Attack until the end of the block, from a process that gives way to the gate."""
    command = [sys.executable, "-m", __name__, attack, *astuple(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == b"attacking\n"
            yield
        finally:
            process.kill()


async def _attack(attack: Attack, target: Target) -> None:
    async def attacker() -> None:
        while True:
            with suppress(httpx.HTTPError, grpc.RpcError, OSError):
                await attack(target)

    async with asyncio.timeout(_LONGEST_SECONDS), asyncio.TaskGroup() as attackers:
        for _ in range(ATTACKERS):
            attackers.create_task(attacker())
        print("attacking", flush=True)  # noqa: T201 - for the process that began this one


if __name__ == "__main__":
    os.nice(19)
    asyncio.run(_attack(ATTACKS[sys.argv[1]], Target(*sys.argv[2:])))
