"""Lets grpcio-testing, which knows blocking servicers, drive ours."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import grpc

from lakegate.auth.keyring import Keyring
from lakegate.auth.tokens import Permission
from lakegate.rpc.flow.rates import Rates
from lakegate.rpc.interceptors.auth import CALLER, Addressed, Caller, Rule
from lakegate.rpc.interceptors.calls import answering, answering_stream
from lakegate.rpc.request.headers import Context


class Blocking:
    """A servicer of coroutines as a blocking one, each call on an event loop of its own."""

    def __init__(self, servicer: object) -> None:
        self._servicer = servicer

    def __getattr__(self, method: str) -> Callable[[Any, Any], Any]:
        behaviour = getattr(self._servicer, method)
        call = self._unary if inspect.iscoroutinefunction(behaviour) else self._stream
        return lambda request, context: call(behaviour, method, request, context)

    def _unary(self, behaviour: Any, method: str, request: Any, context: Any) -> Any:
        async def call() -> Any:
            CALLER.set(anybody(method))
            with suppress(_AbortedError):
                return await answering(behaviour, method)(_aio(request), _aio_context(context))

        return asyncio.run(call())

    def _stream(self, behaviour: Any, method: str, request: Any, context: Any) -> Iterator[Any]:
        async def call() -> list[Any]:
            CALLER.set(anybody(method))
            responses = []
            with suppress(_AbortedError):
                answer = answering_stream(behaviour, method)
                async for response in answer(_aio(request), _aio_context(context)):
                    responses.append(response)  # noqa: PERF401 - what came before an abort counts
            return responses

        return iter(asyncio.run(call()))


def anybody(method: str) -> Caller:
    """Return the caller of a gate that needs no token."""
    rule = Rule(Permission.INGEST, Addressed.IN_EACH_MESSAGE)
    return Caller(Keyring(lambda: ((), False), 60), Rates(0, 0), method, rule, None)


class _AbortedError(Exception):
    """The call has been given the status that it ends with."""


class _AioContext:
    """The part of `grpc.aio.ServicerContext` that our servicers use."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.invocation_metadata = context.invocation_metadata
        self.set_trailing_metadata = context.set_trailing_metadata

    def cancelled(self) -> bool:
        return not self._context.is_active()

    async def send_initial_metadata(self, metadata: Any) -> None:
        self._context.send_initial_metadata(metadata)

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Any) -> None:
        self._context.set_trailing_metadata(trailing_metadata)
        self._context.set_code(code)
        self._context.set_details(details)
        raise _AbortedError


def _aio_context(context: Any) -> Context:
    return cast(Context, _AioContext(context))


def _aio(request: Any) -> Any:
    """Return a stream of requests as an asynchronous one; a single request as it is."""
    if not isinstance(request, Iterator):
        return request

    async def requests() -> AsyncIterator[Any]:
        for each in request:
            yield each

    return requests()
