"""What may be in memory: a body is read when there is room for it, and not before.

Until then HTTP/2 flow control holds its sender back.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from lakegate.budget import Budget, Hold
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.auth import CALLER, Caller
from lakegate.rpc.guard import Kind, MemoryGuard, watermark
from lakegate.rpc.headers import Context
from lakegate.rpc.status import grpc_status_code
from lakegate.rpc.wrapping import Handler, WrappingInterceptor
from lakegate.settings import Settings

# A message is a body and what surrounds it: names, keys, tags.
MESSAGE_OVERHEAD_BYTES = 64 * 1024
# The keys of messages on their way in begin so; databases have no such names.
READING = "reading "


@dataclass(frozen=True, slots=True)
class Admission:
    """The room for bodies, and how patient it is.

    `budget`: the room. `max_body_bytes`: the largest body. `patience_seconds`: how
    long a request waits for room. `read_seconds`: how long a body may take to come.
    `guard`: ends what has come without room for it.
    """

    budget: Budget
    max_body_bytes: int
    patience_seconds: float
    read_seconds: float
    guard: MemoryGuard

    @classmethod
    def of(cls, settings: Settings) -> "Admission":
        """Reserve half of the budget for bodies; the other half is for decoding them."""
        return cls(
            Budget(settings.memory_budget // 2),
            settings.max_body_bytes,
            settings.admission_wait_seconds,
            settings.read_timeout_seconds,
            MemoryGuard(watermark(settings)),
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

    async def keep(self, key: str, size: int) -> Hold:
        """Hold `size` bytes for a message of a stream, which is there already.

        Waits for as long as it takes. Raises `LakegateError` (overloaded) where memory runs
        out meanwhile.
        """
        with self.guard.watched(Kind.ARRIVED, size):
            return await self.budget.take(key, size)

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
            return _as_stream(handler, self._on_demand(handler))
        behaviour: Any = handler.stream_stream or handler.stream_unary
        parse = _parser(handler)
        guard = self._admission.guard
        # A body has room for what is read of it, a stream only for what has arrived.
        kind = Kind.FREE if handler.response_streaming else Kind.HELD
        return _as_stream(
            handler, lambda _, context: behaviour(_Messages(context, parse, guard, kind), context)
        )

    def wrap_other(self, handler: Handler) -> Handler:
        """Watch the messages of health checks and reflection, which anybody may send."""
        behaviour: Any = handler.unary_unary or handler.unary_stream or handler.stream_stream
        parse = _parser(handler)

        async def request_of(context: Context) -> Any:  # noqa: ANN401 - a message, or all of them
            messages = _Messages(context, parse, self._admission.guard, Kind.FREE)
            return messages if handler.request_streaming else await _only(messages)

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
        parse = _parser(handler)
        admission = self._admission
        guard = admission.guard

        async def answer(_: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401 - any message
            caller = CALLER.get(None)
            if caller is None:  # a call that anybody may make brings no body
                message = await _only(_Messages(context, bytes, guard, Kind.FREE))
                return await behaviour(parse(message), context)
            # How large the message is shows when it is there.
            async with admission.room(_reading(caller), admission.unknown) as hold:
                async with admission.reading():
                    message = await _only(_Messages(context, bytes, guard, Kind.HELD))
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


def _parser(handler: Handler) -> Callable[[bytes], Any]:
    """Return what parses a message. It raises `LakegateError` (invalid_argument)."""
    deserialize: Callable[[bytes], Any] = handler.request_deserializer or bytes

    def parse(message: bytes) -> Any:  # noqa: ANN401 - any message
        try:
            return deserialize(message)
        except DecodeError:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, "the bytes are not the message of this call"
            ) from None

    return parse


class _Messages:
    """The messages of a call: each is read when it is asked for, and not kept.

    gRPC's own iterator keeps a message until the next has come, for hours on an idle stream.
    """

    def __init__(
        self, context: Context, parse: Callable[[bytes], Any], guard: MemoryGuard, kind: Kind
    ) -> None:
        self._context = context
        self._parse = parse
        self._guard = guard
        self._kind = kind

    def __aiter__(self) -> "_Messages":
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - any message
        # gRPC never frees a message that comes when its read was cancelled: so no read is.
        reading = asyncio.ensure_future(self._context.read())
        reading.add_done_callback(_retrieve)
        try:
            with self._guard.watched(self._kind):
                message: Any = await asyncio.shield(reading)
        finally:
            del reading  # what is raised keeps this frame, but shall not keep a message
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        self._guard.arrived(len(message))
        return self._parse(message)


def _retrieve(reading: "asyncio.Future[Any]") -> None:
    """Take what a read raised: it may have nobody else left to tell."""
    if not reading.cancelled():
        reading.exception()


async def _only(messages: _Messages) -> Any:  # noqa: ANN401 - any message
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
