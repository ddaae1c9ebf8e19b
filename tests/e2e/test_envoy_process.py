"""Envoy starts ready, says why it does not, and never outlives Lakegate."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from tests.testing.gate.echo_gate import EchoGate, free_ports, running_echo_gate

from lakegate.edge.process import running_envoy
from lakegate.errors import ErrorCode, LakegateError
from lakegate.settings import Settings

UPSTREAM = "127.0.0.1:1"  # nobody's
HOLDER = """
import asyncio
from lakegate.edge.process import running_envoy
from tests.testing.gate.echo_gate import free_ports

async def main():
    async with running_envoy(free_ports(), "127.0.0.1:1") as envoy:
        print(envoy.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_answers_as_soon_as_it_runs_on_the_port_it_was_given() -> None:
    async with running_envoy(free_ports(), UPSTREAM) as envoy, httpx.AsyncClient() as client:
        assert not envoy.http_addr.endswith(":0")
        answer = await client.get(f"http://{envoy.http_addr}/nowhere")
    assert answer.status_code == 404


async def test_a_port_that_is_taken_is_told() -> None:
    async with running_envoy(free_ports(), UPSTREAM) as envoy:
        settings = Settings(http_addr=envoy.http_addr)
        with pytest.raises(LakegateError, match="Address already in use") as caught:
            async with running_envoy(settings, UPSTREAM):
                pass
    assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_nothing_is_left_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with running_envoy(free_ports(), UPSTREAM) as envoy:
        pid = envoy.pid
        assert files_in(tmp_path)
    assert not psutil.pid_exists(pid)
    assert not files_in(tmp_path)


async def test_no_web_page_and_no_other_user_can_stop_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with running_envoy(free_ports(), UPSTREAM) as envoy, httpx.AsyncClient() as client:
        ports = listening_ports(envoy.pid)
        answers = [
            await client.post(
                f"http://127.0.0.1:{port}/quitquitquit", headers={"Origin": "https://evil.example"}
            )
            for port in ports
        ]
        assert [answer.status_code for answer in answers] == [404]
        assert ports == [int(envoy.http_addr.rpartition(":")[2])]
        assert sockets_in(tmp_path) == [envoy.admin_socket]
        assert mode_of(envoy.admin_socket) == 0o600
        assert mode_of(envoy.admin_socket.parent) == 0o700


async def test_its_death_is_noticed() -> None:
    async with running_envoy(free_ports(), UPSTREAM) as envoy:
        os.kill(envoy.pid, signal.SIGKILL)
        assert await envoy.wait() == -signal.SIGKILL


async def test_a_request_under_way_is_answered_before_it_ends() -> None:
    async with running_echo_gate() as gate:
        request = asyncio.create_task(
            gate.rest.post("/v1/ingest", content=b"x", headers={"X-Wait": ""})
        )
        await gate.echo.pieces.get()
        draining = asyncio.create_task(gate.envoy.drain(60))
        await until_refused(gate)
        assert not draining.done()
        gate.echo.go_on.set()
        assert (await request).status_code == 200
        await draining


def listening_ports(pid: int) -> list[int]:
    connections = psutil.Process(pid).net_connections("tcp")
    listening = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return sorted(listening)


def sockets_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_socket()]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def until_refused(gate: EchoGate) -> None:
    """Connect again and again until no new connection is taken."""
    with suppress(ConnectionRefusedError, ConnectionResetError):
        while True:
            _, writer = await asyncio.open_connection(*gate.address)
            writer.close()


def test_it_dies_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as holder:
        assert holder.stdout
        envoy = psutil.Process(int(holder.stdout.readline()))
        holder.kill()
    envoy.wait(timeout=30)
