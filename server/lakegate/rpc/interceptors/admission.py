"""Reads the messages of a call when there is memory for them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.flow.memory_guard import Kind
from lakegate.rpc.interceptors.auth import CALLER, RULES
from lakegate.rpc.interceptors.messages import Messages, only_message, parser_of
from lakegate.rpc.interceptors.wrapping import Handler, WrappingInterceptor, as_stream
from lakegate.rpc.request.headers import Context


class AdmissionInterceptor(WrappingInterceptor):
    """Reads a message when memory is reserved for it."""

    def __init__(self, admission: Admission) -> None:
        """Reserve memory of `admission`."""
        super().__init__()
        self._admission = admission

    def wrap(self, handler: Handler, method: str) -> Handler:
        """Read the messages on demand; the caller is known by now."""
        if RULES[method] is None:
            return handler
        if not handler.request_streaming:
            return as_stream(handler, self._reading_one(handler))
        behaviour: Any = handler.stream_stream or handler.stream_unary
        parse = parser_of(handler)
        guard = self._admission.guard
        # A body reserves memory before it is read, a stream for what has arrived.
        kind = Kind.UNRESERVED if handler.response_streaming else Kind.RESERVED
        return as_stream(
            handler, lambda _, context: behaviour(Messages(context, parse, guard, kind), context)
        )

    def _reading_one(
        self, handler: Handler
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
        behaviour: Any = handler.unary_unary
        parse = parser_of(handler)
        admission = self._admission

        async def answer(_: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - any message
            caller = CALLER.get()
            # The size of the message is known when it is there, and its table after that.
            async with admission.reserving(caller.owner(), admission.unknown) as reservation:
                async with admission.reading():
                    messages = Messages(context, bytes, admission.guard, Kind.RESERVED)
                    message = await only_message(messages)
                caller.sent(len(message))
                reservation.shrink(len(message))
                await admission.grow(reservation, len(message))
                request = parse(message)
                del message
                caller.check_message(request)
                answering = behaviour(request, context)
                del request  # the handler's alone, which drops it as soon as it can
                return await answering

        return answer
