"""The composition root: builds the parts of a server, connects them, and stops them in order."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from lakegate import clock
from lakegate.auth.development_token import development_secret
from lakegate.auth.keyring import Keyring, ReadTokens, reader
from lakegate.auth.store import TokenStore
from lakegate.auth.tokens import Permission, Token, digest_of
from lakegate.decode.query_events.decoder import QueryEventDecoder
from lakegate.decode.query_events.json_decoder import JsonQueryEventDecoder
from lakegate.decode.registry import row_decoders
from lakegate.edge.process import running_envoy
from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import warn_if_shared
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.model import DEFAULT_DATABASE
from lakegate.rpc.flow.rates import Rates
from lakegate.rpc.interceptors.auth import AuthInterceptor
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.server import Server
from lakegate.rpc.services.query_events import QueryEventDecoders
from lakegate.settings import Settings

_log = logging.getLogger("lakegate")


@dataclass(frozen=True, slots=True)
class Gate:
    """The addresses of a running gate, `host:port`, and its development token, if it has one."""

    http_addr: str
    grpc_addr: str
    token: str | None
    tls: bool = False

    @property
    def url(self) -> str:
        """The base URL of REST."""
        return f"{'https' if self.tls else 'http'}://{self.http_addr}"


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Run the server without Envoy until SIGINT or SIGTERM; call `ready` with its address."""
    stop = _stop_signal()
    async with _running_server(settings) as (server, _):
        ready(server.address)
        await stop.wait()
        await _drain(server)


async def up(settings: Settings, ready: Callable[[Gate], None]) -> None:
    """Run the server and Envoy until a signal arrives or Envoy dies.

    Raises `LakegateError` (`unavailable`) if Envoy cannot be started or dies.
    """
    stop = _stop_signal()
    async with AsyncExitStack() as stack:
        server, token = await stack.enter_async_context(_running_server(settings))
        envoy = await stack.enter_async_context(running_envoy(settings, server.address))
        # Before Envoy stops, so that callers get the answers of the draining server. It listens
        # until Envoy is gone: a request on its way to a closed port has an unknown outcome.
        stack.push_async_callback(_drain, server)
        tls = settings.tls_cert is not None
        ready(Gate(envoy.http_addr, server.address, token, tls))
        await _first_of(stop.wait(), envoy.wait())
        if not stop.is_set():
            raise LakegateError(ErrorCode.UNAVAILABLE, "Envoy has died, so the server stops too")


@asynccontextmanager
async def _running_server(settings: Settings) -> AsyncIterator[tuple[Server, str | None]]:
    """Run the server until the end of the block; return it, and its development token."""
    catalog = open_catalog(settings.catalog, settings.home, fsync=settings.fsync)
    warn_if_shared(settings.home)
    lake = Lake(catalog, settings)
    formats = _formats(settings)
    token_store = TokenStore(settings.ledger_database)
    try:
        auth, token = await _auth(settings, token_store)
        query_events = QueryEventDecoders(
            json=JsonQueryEventDecoder(), messages=QueryEventDecoder()
        )
        server = Server(settings, lake, formats, query_events, auth)
        await server.start()
        try:
            yield server, token
        finally:
            await server.stop()
    finally:
        with _timed("ended the maintenance under way, closed the catalog and the ledger"):
            await lake.close()
        token_store.close()


async def _auth(settings: Settings, store: TokenStore) -> tuple[AuthInterceptor, str | None]:
    """Return the interceptor that checks tokens, and the development token of an open gate.

    Raises `LakegateError` (invalid_argument) for a gate that others can reach and that has no
    tokens.
    """
    tokens = settings.tokens.get_secret_value()
    has_tokens = await _has_tokens(reader(store, settings.tokens_file, tokens, None))
    reachable = settings.listens_beyond_loopback
    if reachable and has_tokens is False:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"{reachable} can be reached by others, and there is no token to keep them out: "
            "make one with `lakegate token create`, or set LAKEGATE_TOKENS_FILE or "
            "LAKEGATE_TOKENS",
        )
    may_be_open = not (reachable or settings.require_token or settings.tokens_file)
    secret = None
    if may_be_open and has_tokens is False:
        _log.info("calls need no token, because only this machine can make them")
        secret = development_secret(settings.home)
    development = (
        Token(digest_of(secret), DEFAULT_DATABASE, frozenset(Permission)) if secret else None
    )
    read = reader(store, settings.tokens_file, tokens, development)
    keyring = Keyring(read, settings.token_cache_seconds)
    rates = Rates(settings.token_requests_per_second, settings.token_bytes_per_second)
    return AuthInterceptor(keyring, rates, open_to_anybody=may_be_open), secret


async def _has_tokens(read: ReadTokens) -> bool | None:
    """Return whether calls need a token; None if the tokens cannot be read."""
    try:
        _, has_tokens = await asyncio.to_thread(read)
    except LakegateError as error:
        if error.code is not ErrorCode.UNAVAILABLE:
            raise
        _log.warning("calls are refused until the tokens can be read: %s", error.message)
        return None
    return has_tokens


def _formats(settings: Settings) -> Formats:
    return Formats(
        row_decoders(
            max_new_columns=settings.max_new_columns,
            max_table_columns=settings.max_table_columns,
            max_body_bytes=settings.max_body_bytes,
        )
    )


async def _drain(server: Server) -> None:
    with _timed("answered the requests under way"):
        if not await server.drain():
            await server.stop()


@contextmanager
def _timed(step: str) -> Iterator[None]:
    """Log how long a step of the stop took."""
    began = clock.monotonic()
    yield
    _log.info("stopping: %s in %.1f s", step, clock.monotonic() - began)


def _stop_signal() -> asyncio.Event:
    """Return the event that the first SIGINT or SIGTERM sets. A second one kills the process."""
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
