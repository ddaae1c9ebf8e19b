"""Inflates query events for Envoy, whose transcoder has to read them as JSON.

No part of the contract: Envoy's Lua filter calls it, and its routes keep callers
away from it. The messages are plain bytes: a compressed body in, the body out.
"""

import asyncio
from typing import Any

import grpc
import grpc.aio

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.headers import headers_of
from lakegate.rpc.inflate import inflater

SERVICE = "lakegate.v1.InflateService"

Context = grpc.aio.ServicerContext[Any, Any]


def add_inflate_servicer(server: grpc.aio.Server, max_bytes: int) -> None:
    """Register the service; a body of more than `max_bytes` is refused (body_too_large)."""

    async def behaviour(data: bytes, context: Context) -> bytes:
        encoding = headers_of(context).get("content-encoding", "")
        return await asyncio.to_thread(inflate_whole, data, encoding, max_bytes)

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Inflate": grpc.unary_unary_rpc_method_handler(behaviour)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def inflate_whole(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a `Content-Encoding`. Blocks. Raises as `Inflater` does, and `body_too_large`."""
    inflating = inflater(encoding)
    if inflating is None:
        return data
    inflated = inflating.inflate(data, max_bytes)
    if len(inflated) > max_bytes:
        raise LakegateError(
            ErrorCode.BODY_TOO_LARGE,
            f"the body is larger than {max_bytes} bytes: split it into smaller batches",
        )
    inflating.finish()
    return inflated
