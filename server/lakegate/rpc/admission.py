"""What may be in memory: a body is read when there is room for it, and not before.

Until then HTTP/2 flow control holds its sender back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from lakegate.budget import Budget, Hold
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.auth import CALLER
from lakegate.rpc.headers import Context
from lakegate.rpc.wrapping import Handler, WrappingInterceptor
from lakegate.settings import Settings

# A message is a body and what surrounds it: names, keys, tags.
MESSAGE_OVERHEAD_BYTES = 64 * 1024
# The key of messages on their way in.
READING = "reading"


@dataclass(frozen=True, slots=True)
class Admission:
    """The room for bodies, and how patient it is.

    `budget`: the room. `max_body_bytes`: the largest body. `patience_seconds`: how
    long a request waits for room. `read_seconds`: how long a body may take to come.
    """

    budget: Budget
    max_body_bytes: int
    patience_seconds: float
    read_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "Admission":
        """Give half of the budget to bodies; the other half is for decoding them."""
        return cls(
            Budget(settings.memory_budget // 2),
            settings.max_body_bytes,
            settings.admission_wait_seconds,
            settings.read_timeout_seconds,
        )

    @property
    def unknown(self) -> int:
        """The room for what shows its size only when it is there, in bytes.

        As much as it may take, but on a small budget not so much that it would be alone.
        """
        return min(self.max_body_bytes, self.budget.size // 4)

    def room(self, key: str, size: int) -> AbstractAsyncContextManager[Hold]:
        """Hold `size` bytes for `key`. Raises `LakegateError` (overloaded)."""
        return self.budget.hold(key, size, self.patience_seconds)

    async def grow(self, hold: Hold, size: int) -> None:
        """Hold more. Raises `LakegateError` (overloaded)."""
        await hold.grow(size, self.patience_seconds)

    def check_size(self, size: int) -> None:
        """Refuse a body of more than the largest size."""
        if size > self.max_body_bytes:
            raise LakegateError(
                ErrorCode.BODY_TOO_LARGE,
                f"the body is larger than {self.max_body_bytes} bytes: "
                "split it into smaller batches",
            )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read a body inside. Raises `LakegateError` (request_timeout) where it does not come."""
        try:
            async with asyncio.timeout(self.read_seconds):
                yield
        except TimeoutError:
            raise LakegateError(
                ErrorCode.REQUEST_TIMEOUT,
                f"the body did not come within {self.read_seconds:g} seconds",
            ) from None


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
            return grpc.stream_unary_rpc_method_handler(
                self._on_demand(handler), response_serializer=handler.response_serializer
            )
        behaviour: Any = handler.stream_stream or handler.stream_unary
        parse = _parser(handler)
        make_handler: Any = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
        wrapped: Handler = make_handler(
            lambda messages, context: behaviour(_parsed(messages, parse), context),
            response_serializer=handler.response_serializer,
        )
        return wrapped

    def _on_demand(
        self, handler: Handler
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
        behaviour: Any = handler.unary_unary
        parse = _parser(handler)
        admission = self._admission

        async def answer(messages: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - any message
            caller = CALLER.get(None)
            if caller is None:  # a call that anybody may make brings no body
                return await behaviour(parse(await _only(messages)), context)
            # How large the message is shows when it is there.
            async with admission.room(READING, admission.unknown) as hold:
                async with admission.reading():
                    message = await _only(messages)
                hold.shrink(len(message))
                await admission.grow(hold, len(message))
                hold.move(caller.database)
                caller.sent(len(message))
                request = parse(message)
                del message
                caller.check_message(request)
                return await behaviour(request, context)

        return answer


def _parser(handler: Handler) -> Callable[[bytes], Any]:
    """Give what parses a message. It raises `LakegateError` (invalid_argument)."""
    deserialize: Callable[[bytes], Any] = handler.request_deserializer or bytes

    def parse(message: bytes) -> Any:  # noqa: ANN401 - any message
        try:
            return deserialize(message)
        except DecodeError:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, "the bytes are not the message of this call"
            ) from None

    return parse


async def _parsed(
    messages: AsyncIterator[bytes], parse: Callable[[bytes], Any]
) -> AsyncIterator[Any]:
    async for message in messages:
        yield parse(message)


async def _only(messages: AsyncIterator[bytes]) -> bytes:
    async for message in messages:
        return message
    raise LakegateError(ErrorCode.INVALID_ARGUMENT, "the call has no message")
