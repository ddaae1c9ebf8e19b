"""How an interceptor wraps the handlers of calls."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

from lakegate.rpc.request.headers import Context

_OUR_SERVICES = "/lakegate.v1."

# The stubs make it generic, the runtime does not.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# None: there is no such method.
Found: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
# Takes what handles a call, and the name of its method.
Wrapper: TypeAlias = Callable[[Any, str], Any]


class WrappingInterceptor(grpc.aio.ServerInterceptor, ABC):
    """Wraps the handlers of the contract's services, and of others where it overrides that."""

    def __init__(self) -> None:
        """Wrap no handler yet."""
        # By method: its handler, which gRPC finds anew for each call, and what replaces it.
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    @abstractmethod
    def wrap(self, handler: Handler, method: str) -> Handler:
        """Return what handles a call instead of `handler`; `method` is `Service/Method`."""

    def wrap_other(self, handler: Handler) -> Handler:
        """Return what handles a call of another service instead of `handler`."""
        return handler

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Found]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Found:
        """Wrap the handler of a call, if there is one."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        known = self._wrapped.get(method)
        if known is not None and known[0] is handler:
            return known[1]
        if method.startswith(_OUR_SERVICES):
            replacement = self.wrap(handler, method.removeprefix(_OUR_SERVICES))
        else:
            replacement = self.wrap_other(handler)
        self._wrapped[method] = handler, replacement
        return replacement


def wrapped(
    handler: Handler,
    method: str,
    answering: Wrapper,
    answering_stream: Wrapper,
) -> Handler:
    """Wrap a handler by what fits its answers: one, or a stream of them."""
    kind = "_".join(
        "stream" if streaming else "unary"
        for streaming in (handler.request_streaming, handler.response_streaming)
    )
    wrap = answering_stream if handler.response_streaming else answering
    make_handler = getattr(grpc, f"{kind}_rpc_method_handler")
    made: Handler = make_handler(
        wrap(getattr(handler, kind), method),
        handler.request_deserializer,
        handler.response_serializer,
    )
    return made


def as_stream(
    handler: Handler, behaviour: Callable[[AsyncIterator[bytes], Context], Any]
) -> Handler:
    """Replace `handler` by `behaviour`, which reads the messages itself.

    Left to itself, gRPC reads the message of a unary call before anybody is asked. On the wire
    such a call is a stream of one message: served as a stream, it is read on demand.
    """
    make_handler: Any = (
        grpc.stream_stream_rpc_method_handler
        if handler.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )
    made: Handler = make_handler(behaviour, response_serializer=handler.response_serializer)
    return made
