"""Calls of Envoy: whether it may hold a body, and to inflate one for its transcoder.

They are not in the contract: Envoy's Lua filters make them, and its routes are closed to
callers. The messages are plain bytes: a compressed body in, the body out. The interceptors
check the caller before.
"""

import asyncio

import grpc
import grpc.aio

from lakegate.contract import HELD_BODIES, INTERNAL_SERVICE
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.request.headers import Context, headers_of
from lakegate.rpc.request.inflate import inflater


def add_inflate_servicer(server: grpc.aio.Server, admission: Admission) -> None:
    """Register the service; `admission` limits the bodies and has memory for them."""

    async def behaviour(data: bytes, context: Context) -> bytes:
        encoding = headers_of(context).get("content-encoding", "")
        async with admission.reserving((INTERNAL_SERVICE,), admission.unknown):
            return await asyncio.to_thread(inflate_whole, data, encoding, admission)

    async def admit(data: bytes, context: Context) -> bytes:
        del data, context
        return b""

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        f"{call}{body}": grpc.unary_unary_rpc_method_handler(handler)
        for body in HELD_BODIES.values()
        for call, handler in (("Admit", admit), ("Inflate", behaviour))
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(INTERNAL_SERVICE, handlers),)
    )


def inflate_whole(data: bytes, encoding: str, admission: Admission) -> bytes:
    """Undo a `Content-Encoding`. Blocks. Raises as `Inflater` does, and `body_too_large`."""
    inflating = inflater(encoding)
    if inflating is None:
        return data
    inflated = inflating.inflate(data, admission.max_body_bytes)
    admission.check_size(len(inflated))
    inflating.finish()
    return inflated
