"""How much memory the server of a gate holds."""

import time

import psutil
from tests.testing.gate.running_gate import RunningGate

WAIT_SECONDS = 30


def server_memory(gate: RunningGate) -> int:
    memory: int = psutil.Process(gate.process.pid).memory_info().rss
    return memory


def memory_falls_below(gate: RunningGate, size: int) -> None:
    """Wait until the server has given memory back; fail where it never does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while server_memory(gate) >= size:
        assert time.monotonic() < deadline, f"{server_memory(gate)} bytes are held, not {size}"
