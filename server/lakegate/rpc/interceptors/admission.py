"""Reads the message of a call when there is memory for it."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from lakegate.errors import LakegateError
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.flow.memory_guard import Kind
from lakegate.rpc.interceptors.auth import CALLER, Caller
from lakegate.rpc.interceptors.messages import Messages, only_message, parser_of
from lakegate.rpc.interceptors.wrapping import Handler, WrappingInterceptor
from lakegate.rpc.request.headers import Context
from lakegate.rpc.status import grpc_status_code

# The keys of messages on their way in begin so; databases have no such names.
READING = "reading "


class AdmissionInterceptor(WrappingInterceptor):
    """Reads the message of a call when there is room for it.

    Left to itself, gRPC reads it before anybody is asked. On the wire a call of one
    message is a stream of one: it is served as such, and so read on demand.
    """

    def __init__(self, admission: Admission) -> None:
        """Ask `admission` for room."""
        self._admission = admission

    def wrap(self, handler: Handler, method: str) -> Handler:
        """Let the handler read on demand; the caller is known by now."""
        del method
        if not handler.request_streaming:
            return _as_stream(handler, self._on_demand(handler))
        behaviour: Any = handler.stream_stream or handler.stream_unary
        parse = parser_of(handler)
        guard = self._admission.guard
        # A body has room for what is read of it, a stream only for what has arrived.
        kind = Kind.FREE if handler.response_streaming else Kind.HELD
        return _as_stream(
            handler, lambda _, context: behaviour(Messages(context, parse, guard, kind), context)
        )

    def wrap_other(self, handler: Handler) -> Handler:
        """Watch the messages of health checks and reflection, which anybody may send."""
        behaviour: Any = handler.unary_unary or handler.unary_stream or handler.stream_stream
        parse = parser_of(handler)

        async def request_of(context: Context) -> Any:  # noqa: ANN401 - a message, or all of them
            messages = Messages(context, parse, self._admission.guard, Kind.FREE)
            return messages if handler.request_streaming else await only_message(messages)

        async def answer(_: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - any message
            try:
                return await behaviour(await request_of(context), context)
            except LakegateError as error:
                await context.abort(grpc_status_code(error), error.message)

        async def answer_stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
            try:
                async for response in behaviour(await request_of(context), context):
                    yield response
            except LakegateError as error:
                await context.abort(grpc_status_code(error), error.message)

        # A handler of streams yields its answers, or writes them itself.
        yields = inspect.isasyncgenfunction(behaviour)
        return _as_stream(handler, answer_stream if yields else answer)

    def _on_demand(
        self, handler: Handler
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
        behaviour: Any = handler.unary_unary
        parse = parser_of(handler)
        admission = self._admission
        guard = admission.guard

        async def answer(_: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - any message
            caller = CALLER.get(None)
            if caller is None:  # a call that anybody may make brings no body
                message = await only_message(Messages(context, bytes, guard, Kind.FREE))
                return await behaviour(parse(message), context)
            # How large the message is shows when it is there.
            async with admission.room(_reading(caller), admission.unknown) as hold:
                async with admission.reading():
                    message = await only_message(Messages(context, bytes, guard, Kind.HELD))
                hold.shrink(len(message))
                await admission.grow(hold, len(message))
                hold.move(caller.database)
                caller.sent(len(message))
                request = parse(message)
                del message
                caller.check_message(request)
                answering = behaviour(request, context)
                del request  # the handler's alone, which lets go of what it has no more use for
                return await answering

        return answer


def _as_stream(
    handler: Handler, behaviour: Callable[[AsyncIterator[bytes], Context], Any]
) -> Handler:
    """Serve what `handler` does by `behaviour`, which reads the messages itself."""
    make_handler: Any = (
        grpc.stream_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )
    made: Handler = make_handler(behaviour, response_serializer=handler.response_serializer)
    return made


def _reading(caller: Caller) -> str:
    """Return the key of what a caller sends: whoever sends slowly holds up no other token."""
    return READING + (caller.token.id if caller.token else "")
