"""Interceptors: how one wraps the handlers of our calls."""

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

_OUR_SERVICES = "/lakegate.v1."

# The stubs make it generic, the runtime does not. None: no such method.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
# Takes what handles a call, and the name of its method.
Wrapper: TypeAlias = Callable[[Any, str], Any]


def method_of(details: grpc.HandlerCallDetails) -> str | None:
    """Give the method of a call of ours, as `Service/Method`; None for others' services."""
    method = details.method
    return method.removeprefix(_OUR_SERVICES) if method.startswith(_OUR_SERVICES) else None


def wrapped(
    handler: "grpc.RpcMethodHandler[Any, Any]",
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
