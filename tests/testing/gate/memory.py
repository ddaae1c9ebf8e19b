"""How much memory the processes of a gate have."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.testing.gate.running_gate import RunningGate

WAIT_SECONDS = 30


@dataclass
class Peak:
    """The most memory that a process had."""

    size: int = 0


@asynccontextmanager
async def observed(process: psutil.Process) -> AsyncIterator[Peak]:
    """Observe the memory of `process` all the time."""
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


def peak_memory(process: int) -> int:
    """Return the most memory that a process ever had, in bytes: proc_pid_status(5)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("there is no VmHWM")


def server_memory(gate: RunningGate) -> int:
    memory: int = psutil.Process(gate.process.pid).memory_info().rss
    return memory


def memory_falls_below(gate: RunningGate, size: int) -> None:
    """Wait until the server has less memory than that; fail where it never does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while server_memory(gate) >= size:
        assert time.monotonic() < deadline, f"{server_memory(gate)} bytes are held, not {size}"
