"""`lakegate up` is one thing: it starts whole, says why it ends, and leaves nothing behind."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.testing.gate.running_gate import NDJSON, RunningGate, running_gate

CONNECTIONS = 16
WAIT_SECONDS = 30


@pytest.fixture
def own_gate(tmp_path: Path) -> Iterator[RunningGate]:
    """A gate that the test may stop."""
    with running_gate(tmp_path / "home") as gate:
        yield gate


def log_of(gate: RunningGate) -> str:
    return (gate.home / "log").read_text()


def family(gate: RunningGate) -> list[psutil.Process]:
    """The gate's process and all it has started."""
    parent = psutil.Process(gate.process.pid)
    return [parent, *parent.children(recursive=True)]


def envoy_of(gate: RunningGate) -> psutil.Process:
    [envoy] = [each for each in family(gate) if "envoy" in each.name()]
    return envoy


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=WAIT_SECONDS)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_both_and_leaves_no_process(own_gate: RunningGate, number: int) -> None:
    processes = family(own_gate)
    assert len(processes) > 1
    assert own_gate.stop(number) == 0
    assert_gone(processes)


def test_ctrl_c_in_the_terminal_stops_both(own_gate: RunningGate) -> None:
    processes = family(own_gate)
    for process in processes:  # a terminal signals the whole process group; Envoy is not in it
        if os.getpgid(process.pid) == os.getpgid(own_gate.process.pid):
            process.send_signal(signal.SIGINT)
    assert own_gate.process.wait(WAIT_SECONDS) == 0
    assert_gone(processes)


def test_when_envoy_dies_the_server_stops_and_says_so(own_gate: RunningGate) -> None:
    processes = family(own_gate)
    envoy_of(own_gate).kill()
    assert own_gate.process.wait(WAIT_SECONDS) == 1
    assert_gone(processes)
    assert "Envoy has died" in log_of(own_gate)


def test_when_the_server_is_killed_envoy_goes_with_it(own_gate: RunningGate) -> None:
    processes = family(own_gate)
    own_gate.process.kill()
    assert_gone(processes)


def test_what_was_acknowledged_before_a_restart_is_there_after_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_gate(home) as gate:
        assert gate.ingest("kept", '{"a":1}').status_code == 200
        token = gate.token
        gate.stop()
    with running_gate(home) as gate:
        assert gate.ingest("kept", '{"a":2}').status_code == 200
        assert sorted(row["a"] for row in gate.rows("kept")) == ["1", "2"]
        assert gate.token == token


async def test_ctrl_c_during_load_loses_nothing_that_was_acknowledged(
    own_gate: RunningGate,
) -> None:
    acknowledged: set[str] = set()
    attempted: set[str] = set()
    refusals: list[httpx.Response] = []
    enough = asyncio.Event()

    async def connection(number: int) -> None:
        async with httpx.AsyncClient(base_url=own_gate.url, timeout=60) as http:
            for i in range(10_000):
                row = f"{number}-{i}"
                attempted.add(row)
                try:
                    answer = await http.post(
                        "/v1/ingest",
                        content=f'{{"id":"{row}"}}',
                        headers={"X-Table": "interrupted", "Content-Type": NDJSON},
                    )
                except httpx.TransportError:
                    return  # the listener is closed: the gate is down
                if answer.status_code != 200:
                    refusals.append(answer)
                    return
                acknowledged.add(row)
                if len(acknowledged) >= 10 * CONNECTIONS:
                    enough.set()

    load = [asyncio.create_task(connection(i)) for i in range(CONNECTIONS)]
    await enough.wait()
    own_gate.process.send_signal(signal.SIGINT)
    await asyncio.gather(*load)
    assert await asyncio.to_thread(own_gate.process.wait, WAIT_SECONDS) == 0
    unavailable = [each.json()["error"]["code"] == "unavailable" for each in refusals]
    assert all(unavailable), [each.text for each in refusals]
    landed = [row["id"] for row in own_gate.rows("interrupted")]
    assert len(landed) == len(set(landed))
    assert acknowledged <= set(landed) <= attempted
