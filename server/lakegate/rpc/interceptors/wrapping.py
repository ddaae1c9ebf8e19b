"""Interceptors: how one wraps the handlers of our calls."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio

_OUR_SERVICES = "/lakegate.v1."

# The stubs make it generic, the runtime does not.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# None: there is no such method.
Found: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
# Takes what handles a call, and the name of its method.
Wrapper: TypeAlias = Callable[[Any, str], Any]


class WrappingInterceptor(grpc.aio.ServerInterceptor, ABC):
    """Wraps the handlers of calls: of our own, and where it says so of other services."""

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
        if not method.startswith(_OUR_SERVICES):
            return self.wrap_other(handler)
        return self.wrap(handler, method.removeprefix(_OUR_SERVICES))


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
