"""What Envoy asks before it holds a body, and to inflate one that its transcoder has to read.

No part of the contract: Envoy's Lua filters call it, and its routes keep callers
away from it. The messages are plain bytes: a compressed body in, the body out.
Whether a caller may send at all is for the interceptors: who gets through is admitted.
"""

import asyncio

import grpc
import grpc.aio

from lakegate.contract import HELD_BODIES, INTERNAL_SERVICE
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.request.headers import Context, announced_size, headers_of
from lakegate.rpc.request.inflate import inflater
from lakegate.rpc.services.table_fields import check_fields


def add_inflate_servicer(server: grpc.aio.Server, admission: Admission) -> None:
    """Register the service; `admission` says how large a body may be, and has room for it."""

    async def behaviour(data: bytes, context: Context) -> bytes:
        encoding = headers_of(context).get("content-encoding", "")
        async with admission.room(INTERNAL_SERVICE, admission.unknown):
            return await asyncio.to_thread(inflate_whole, data, encoding, admission)

    async def admit(data: bytes, context: Context) -> bytes:
        del data
        headers = headers_of(context)
        if inflater(headers.get("content-encoding", "")) is None:
            admission.check_size(announced_size(headers) or 0)
        return b""

    async def inflate_table(data: bytes, context: Context) -> bytes:
        inflated = await behaviour(data, context)
        await asyncio.to_thread(check_fields, inflated)
        return inflated

    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        f"{call}{body}": grpc.unary_unary_rpc_method_handler(handler)
        for body in HELD_BODIES.values()
        for call, handler in (("Admit", admit), ("Inflate", behaviour))
    }
    handlers["InflateTable"] = grpc.unary_unary_rpc_method_handler(inflate_table)
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
