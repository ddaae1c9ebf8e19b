"""The messages of a call, read on demand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.memory_guard import Kind, MemoryGuard
from lakegate.rpc.interceptors.wrapping import Handler
from lakegate.rpc.request.headers import Context


def parser_of(handler: Handler) -> Callable[[bytes], Any]:
    """Return the parser of a message. It raises `LakegateError` (invalid_argument)."""
    deserialize: Callable[[bytes], Any] = handler.request_deserializer or bytes

    def parse(message: bytes) -> Any:  # noqa: ANN401 - any message
        try:
            return deserialize(message)
        except DecodeError:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, "the bytes are not the message of this call"
            ) from None

    return parse


class Messages:
    """The messages of a call. Each is read on demand, and not kept.

    gRPC's own iterator keeps a message until the next has arrived, for hours on an idle stream.
    """

    def __init__(
        self, context: Context, parse: Callable[[bytes], Any], guard: MemoryGuard, kind: Kind
    ) -> None:
        """Read the messages of `context`; `guard` ends a read that takes too much memory."""
        self._context = context
        self._parse = parse
        self._guard = guard
        self._kind = kind

    def __aiter__(self) -> "Messages":
        """Return the messages."""
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - any message
        """Return the next message. Raises `LakegateError`."""
        # gRPC never frees a message that arrives after its read was cancelled, so no read is.
        reading = asyncio.ensure_future(self._context.read())
        reading.add_done_callback(_retrieve)
        try:
            with self._guard.watched(self._kind):
                message: Any = await asyncio.shield(reading)
        finally:
            del reading  # what is raised keeps this frame, and must not keep a message
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        self._guard.arrived(len(message))
        return self._parse(message)


def _retrieve(reading: "asyncio.Future[Any]") -> None:
    """Retrieve what a read raised, which nobody may wait for any more."""
    if not reading.cancelled():
        reading.exception()


async def only_message(messages: AsyncIterator[Any]) -> Any:  # noqa: ANN401 - any message
    """Read the one message of a call, and the end after it."""
    only: list[Any] = []
    async for message in messages:
        if only:
            raise LakegateError(ErrorCode.INVALID_ARGUMENT, "the call has more than one message")
        only.append(message)
        del message
    if not only:
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, "the call has no message")
    return only.pop()
