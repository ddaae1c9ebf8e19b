"""The whole gate beside its limits, in one run on the same cores.

`echo` is the same Envoy and the same servicers over a lake that acknowledges
and does nothing: what the wire costs. `lake` is the same batches appended in
process: what decoding and committing cost. The gate can be no faster than
either; the ratios say how close it comes.

    python -m bench.gate [SECONDS]

`CPU ms` is what a request costs the server and Envoy together, user and system: unlike rates it
holds on a busy machine. `python -m bench.gate serve echo` (or `gate`) serves until Ctrl-C, and
prints its address first.
"""

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import psutil
import uvloop
from bench.load import LINE, Load, Seen, run

from lakegate import gateway
from lakegate.cli.main import tune_process
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.model import Acknowledgement, Batch, Body, TableName
from lakegate.settings import Settings

LOADS = (Load(1, 1), Load(64, 1), Load(256, 1), Load(64, 50), Load(64, 500), Load(32, 5000))
DEFAULT_SECONDS = 5.0
WARM_UP_SECONDS = 1.0
FREE_PORTS = {
    "LAKEGATE_HTTP_ADDR": "127.0.0.1:0",
    "LAKEGATE_GRPC_ADDR": "127.0.0.1:0",
}


class Served(NamedTuple):
    """A server for measurements: its HTTP address, and its process."""

    address: str
    pid: int


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS
    print(f"{'load':32} {'gate req/s':>10} {'rows/s':>10} {'p50 ms':>8} {'p99 ms':>8}", end="")
    print(f" {'of echo':>8} {'of lake':>8} {'CPU ms':>8} {'of echo':>8}")
    for load in LOADS:
        with tempfile.TemporaryDirectory() as home:
            lake = uvloop.run(append_in_process(Path(home), load, seconds))
        echo, echo_cpu_ms = measured("echo", load, seconds)
        gate, cpu_ms = measured("gate", load, seconds)
        rate = gate.requests_per_second
        print(f"{load!s:32} {rate:10.0f} {rate * load.rows:10.0f}", end="")
        print(f" {gate.median_ms:8.1f} {gate.p99_ms:8.1f}", end="")
        print(f" {rate / echo.requests_per_second:8.2f} {rate / lake:8.2f}", end="")
        print(f" {cpu_ms:8.2f} {echo_cpu_ms:8.2f}", flush=True)


def measured(what: str, load: Load, seconds: float) -> tuple[Seen, float]:
    """Run a load; return what it saw, and the CPU milliseconds of a request."""
    with serving(what) as served:
        uvloop.run(run(served.address, load, WARM_UP_SECONDS, "bench"))
        parent = psutil.Process(served.pid)
        processes = [parent, *parent.children(recursive=True)]
        before = sum(map(cpu_seconds, processes))
        seen = uvloop.run(run(served.address, load, seconds, "bench"))
        used = sum(map(cpu_seconds, processes)) - before
    return seen, used * 1000 / (seen.requests_per_second * seconds)


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def append_in_process(home: Path, load: Load, seconds: float) -> float:
    """Append batches without any wire; return the batches a second."""
    lake = Lake(open_catalog("lakegate", home), Settings(home=home))
    body = Body(LINE * load.rows)
    batch = Batch(TableName("default", "bench"), body, NdjsonDecoder())
    begun = time.perf_counter()

    async def sender() -> int:
        batches = 0
        while time.perf_counter() < begun + seconds:
            await lake.append(batch)
            batches += 1
        return batches

    batches = sum(await asyncio.gather(*(sender() for _ in range(load.connections))))
    rate = batches / (time.perf_counter() - begun)
    await lake.close()
    return rate


@contextmanager
def serving(what: str) -> Iterator[Served]:
    """Run a gate, or its echo, in a process of its own."""
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(
            [sys.executable, "-m", "bench.gate", "serve", what],
            env={**os.environ, **FREE_PORTS, "LAKEGATE_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout  # noqa: S101 - it is piped
        try:
            yield Served(process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()


def serve(what: str) -> None:
    async def acknowledge_at_once(_lake: Lake, batch: Batch) -> Acknowledgement:
        return Acknowledgement("1", 1, 1, len(batch.body.data))

    logging.basicConfig(level=logging.WARNING)
    tune_process()
    up = gateway.up(Settings(), lambda gate: print(gate.http_addr, flush=True))
    if what == "echo":
        with mock.patch.object(Lake, "append", acknowledge_at_once):
            uvloop.run(up)
    else:
        uvloop.run(up)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        main()
