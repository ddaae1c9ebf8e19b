"""Checks that a body is whole: that its end was proven, not only that the messages ended.

After a cancellation gRPC's iterator of messages simply ends, as it does after the last one.
So a body counts as whole only with a proof, of which there are two:

- A mark: to a body over REST Envoy's Lua filter appends a word when it sees the end of the
  request. The word is made for this request, and only the server gets it. (The length does not
  prove as much: a request with more bytes than it announces is reset after so many.)
- The half-close: HTTP/2 ends one direction of a call at a time, but a reset ends both. So
  where the call can still be answered after the last message, it was not reset. The proof
  sends the headers of the answer, so it is not for REST, where a refusal has to come in
  these headers. (A body that ends in trailers is the exception: Envoy cannot mark it.)
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import grpc.aio
from google.api.httpbody_pb2 import HttpBody

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.request.headers import Context, headers_of
from lakegate.wire import BODY_END_KEY


async def whole_body(
    chunks: AsyncIterator[HttpBody], context: Context
) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the media type and the bytes of each chunk of a body, as they come.

    Raises `LakegateError` (bad_request_body) in place of the end where that is not proven.
    """
    end = _end_of(context)
    async for chunk in chunks:
        content_type, data = chunk.content_type, end.body_of(chunk.data)
        del chunk
        yield content_type, data
        del data
    if not await end.is_reached() or context.cancelled():
        raise LakegateError(ErrorCode.BAD_REQUEST_BODY, "the body is cut short")
    if end.kept:
        yield "", end.kept


class _End(ABC):
    """Watches a body for its end. `kept`: bytes of the body that were taken for the mark."""

    kept = b""

    @abstractmethod
    def body_of(self, data: bytes) -> bytes:
        """Return what of the next bytes belongs to the body."""

    @abstractmethod
    async def is_reached(self) -> bool:
        """Return whether the body is whole, once its messages have ended."""


class _NoBody(_End):
    def __init__(self) -> None:
        self._is_empty = True

    def body_of(self, data: bytes) -> bytes:
        self._is_empty = self._is_empty and not data
        return data

    async def is_reached(self) -> bool:
        return self._is_empty


class _HalfClose(_End):
    def __init__(self, context: Context) -> None:
        self._context = context

    def body_of(self, data: bytes) -> bytes:
        return data

    async def is_reached(self) -> bool:
        if self._context.cancelled():
            return False
        try:
            await self._context.send_initial_metadata(())
        except grpc.aio.BaseError:
            return False
        return True


class _Mark(_HalfClose):
    def __init__(self, mark: bytes, context: Context) -> None:
        super().__init__(context)
        self._mark = mark

    def body_of(self, data: bytes) -> bytes:
        """Return the bytes that cannot be part of the mark, which may come in pieces."""
        data = self.kept + data if self.kept else data
        for size in range(min(len(self._mark), len(data)), 0, -1):
            if self._mark.startswith(data[-size:]):
                self.kept = data[-size:]
                return data[:-size]
        self.kept = b""
        return data

    async def is_reached(self) -> bool:
        if self.kept == self._mark:
            self.kept = b""
            return True
        return await super().is_reached()


def _end_of(context: Context) -> _End:
    kind, _, value = headers_of(context).get(BODY_END_KEY, "").partition(" ")
    if kind == "mark" and not value:
        return _NoBody()
    if kind == "mark":
        return _Mark(value.encode(), context)
    return _HalfClose(context)
