"""The composition root: builds the rooms, joins them, and ends them in order."""

import asyncio
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from lakegate.batches import DEFAULT_DATABASE
from lakegate.decode.arrow import ArrowDecoder
from lakegate.decode.ndjson import NdjsonDecoder
from lakegate.decode.query_events import QueryEventDecoder
from lakegate.envoy import running_envoy
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog import open_catalog
from lakegate.lake.lake import Lake
from lakegate.rpc.formats import Formats
from lakegate.rpc.server import Server
from lakegate.rpc.tokens import Tokens
from lakegate.settings import Settings

_log = logging.getLogger("lakegate")


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a running gate is reached, `host:port` each, and the token that opens it."""

    http_addr: str
    grpc_addr: str
    token: str


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Run the server alone until SIGINT or SIGTERM; call `ready` with its address."""
    stop = _stop_signal()
    async with _running_server(settings) as server:
        ready(server.address)
        await stop.wait()


async def up(settings: Settings, ready: Callable[[Gate], None]) -> None:
    """Run the server and Envoy as one thing until a signal comes or Envoy dies.

    Raises `LakegateError` (`unavailable`) where Envoy cannot be started or dies.
    """
    stop = _stop_signal()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_running_server(settings))
        envoy = await stack.enter_async_context(running_envoy(settings, server.address))
        # Before Envoy ends: callers are to get the answers of a draining server.
        stack.push_async_callback(server.stop)
        ready(Gate(envoy.http_addr, server.address, development_token(settings)))
        await _first_of(stop.wait(), envoy.wait())
        if not stop.is_set():
            raise LakegateError(ErrorCode.UNAVAILABLE, "Envoy has died, so the server stops too")


def development_token(settings: Settings) -> str:
    """Give the token under the home; make it where there is none."""
    path = settings.home / "dev-token"
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    settings.home.mkdir(parents=True, exist_ok=True)
    token = f"lakegate_dev_{secrets.token_urlsafe(24)}"
    path.touch(mode=0o600)
    path.write_text(f"{token}\n")
    return token


@asynccontextmanager
async def _running_server(settings: Settings) -> AsyncIterator[Server]:
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    limits = {
        "max_new_columns": settings.max_new_columns,
        "max_table_columns": settings.max_table_columns,
    }
    formats = Formats(NdjsonDecoder(**limits), ArrowDecoder(**limits))
    tokens = Tokens(development_token(settings), DEFAULT_DATABASE)
    server = Server(settings, lake, formats, QueryEventDecoder(), tokens)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await lake.close()


def _stop_signal() -> asyncio.Event:
    """Give the event that the first SIGINT or SIGTERM sets; the second one kills."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        _log.info("%s: draining", number.name)
        loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    return stop


async def _first_of(*awaitables: Coroutine[None, None, object]) -> None:
    tasks = [asyncio.create_task(each) for each in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
