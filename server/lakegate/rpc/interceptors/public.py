"""Bounds the calls that need no token: health checks and reflection."""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lakegate.errors import LakegateError
from lakegate.rpc.flow.memory_guard import Kind, MemoryGuard
from lakegate.rpc.flow.public_calls import PublicCalls, check_size
from lakegate.rpc.interceptors.auth import RULES
from lakegate.rpc.interceptors.messages import Messages, only_message, parser_of
from lakegate.rpc.interceptors.wrapping import Handler, WrappingInterceptor, as_stream
from lakegate.rpc.request.headers import Context, headers_of
from lakegate.rpc.status import grpc_status_code


class PublicInterceptor(WrappingInterceptor):
    """Reads the messages of such calls, a few at once, and small ones only."""

    def __init__(self, guard: MemoryGuard) -> None:
        """End these calls first when `guard` finds too much memory."""
        super().__init__()
        self._guard = guard
        self._calls = PublicCalls()

    def wrap(self, handler: Handler, method: str) -> Handler:
        """Bound the calls of a method that needs no token."""
        if RULES[method] is not None:
            return handler
        behaviour: Any = handler.unary_unary

        async def answer(_: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - any message
            return await behaviour(await self._request_of(handler, context), context)

        return as_stream(handler, answer)

    def wrap_other(self, handler: Handler) -> Handler:
        """Bound the calls of a method that is not in the contract, and so needs no token."""
        behaviour: Any = handler.unary_unary or handler.unary_stream or handler.stream_stream

        async def answer(_: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - any message
            async with self._bounded(handler, context):
                return await behaviour(await self._request_of(handler, context), context)

        async def answer_stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            async with self._bounded(handler, context):
                request = await self._request_of(handler, context)
                async for response in behaviour(request, context):
                    yield response

        # A handler of streams yields its answers, or writes them itself.
        yields = inspect.isasyncgenfunction(behaviour)
        return as_stream(handler, answer_stream if yields else answer)

    @asynccontextmanager
    async def _bounded(self, handler: Handler, context: Context) -> AsyncIterator[None]:
        """End the call with a status where there are too many, or it is refused inside."""
        try:
            if handler.response_streaming:
                with self._calls.stream(_address_of(context)):
                    yield
            else:
                yield
        except LakegateError as error:
            await context.abort(grpc_status_code(error), error.message)

    async def _request_of(self, handler: Handler, context: Context) -> Any:  # noqa: ANN401 - a message, or all of them
        parse = parser_of(handler)
        messages = Messages(
            context, lambda message: parse(check_size(message)), self._guard, Kind.PUBLIC
        )
        bounded = self._bounded_messages(messages)
        return bounded if handler.request_streaming else await only_message(bounded)

    async def _bounded_messages(self, messages: Messages) -> AsyncIterator[Any]:
        while True:
            try:
                with self._calls.reading():
                    message = await anext(messages)
            except StopAsyncIteration:
                return
            yield message


def _address_of(context: Context) -> str:
    """Return the address of a caller, which Envoy appends; without Envoy, of its connection."""
    forwarded = headers_of(context).get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded or context.peer().rpartition(":")[0]
