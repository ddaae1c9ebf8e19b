"""The bodies of REST requests: read in chunks and inflated, within the memory reserved for them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from google.api.httpbody_pb2 import HttpBody

from lakegate.concurrency.budget import Reservation
from lakegate.concurrency.shares import Owner
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.interceptors.auth import CALLER
from lakegate.rpc.request.completeness import whole_body
from lakegate.rpc.request.headers import Context, announced_size, headers_of
from lakegate.rpc.request.inflate import Inflater, inflater

# Envoy sends bodies in chunks of up to this size.
CHUNK_BYTES = 1024 * 1024


class BodyReader:
    """Reads bodies, within `admission`."""

    def __init__(self, admission: Admission) -> None:
        """Limit bodies as `admission` does."""
        self._admission = admission

    @asynccontextmanager
    async def reserved(
        self, owner: Owner, context: Context, largest: int | None = None
    ) -> AsyncIterator["BodyReading"]:
        """Reserve memory for a body, until the block ends. `largest`: its limit, in bytes."""
        admission = self._admission
        headers = headers_of(context)
        limit = min(largest or admission.max_body_bytes, admission.max_body_bytes)
        plan = _plan(headers, admission, limit)
        async with admission.reserving(owner, plan.needed(0), plan.announced) as reservation:
            encoding = headers.get("content-encoding", "")
            yield BodyReading(admission, context, encoding, reservation, plan, limit)


@dataclass(frozen=True, slots=True)
class BodyReading:
    """A body of up to `limit` bytes, with the memory that is reserved for it."""

    admission: Admission
    context: Context
    content_encoding: str
    reservation: Reservation
    plan: "_ReadingPlan"
    limit: int

    async def read(
        self, chunks: AsyncIterator[HttpBody], check_media_type: Callable[[str], object] = str
    ) -> tuple[str, bytes]:
        """Return the media type and the bytes of a whole body.

        Raises `LakegateError`, as soon as the body is known to be too large or malformed.
        """
        async with self.admission.reading():
            media_type, data = await self._collect(
                self.admission.pace.checked(whole_body(chunks, self.context)),
                inflater(self.content_encoding),
                check_media_type,
            )
        self.reservation.shrink(len(data))
        return media_type, data

    async def _collect(
        self,
        chunks: AsyncIterator[tuple[str, bytes]],
        inflating: Inflater | None,
        check_media_type: Callable[[str], object],
    ) -> tuple[str, bytes]:
        """Collect the chunks.

        Memory is reserved for each chunk before it is read: HTTP/2 holds the sender back.
        """
        caller = CALLER.get()
        content_type = ""
        parts: list[bytes] = []
        size = 0
        async for media_type, data in chunks:
            if not parts:
                content_type = media_type
                check_media_type(content_type)
            caller.sent(len(data))
            part = data
            del data
            if inflating:
                part = await self._inflate(inflating, part, size)
            size += len(part)
            self.admission.check_size(size, self.limit)
            parts.append(part)
            if inflating:
                self.reservation.shrink(self.plan.needed(size))
            await self.admission.grow(self.reservation, self.plan.needed(size))
        if inflating:
            inflating.finish()
        return content_type, b"".join(parts)

    async def _inflate(self, inflating: Inflater, part: bytes, size: int) -> bytes:
        """Inflate a part of a body of which `size` bytes are there; rates count the larger size."""
        # It may inflate to anything, so much is reserved for that moment.
        await self.admission.grow(self.reservation, size + len(part) + self.admission.unknown)
        inflated = await asyncio.to_thread(inflating.inflate, part, self.limit - size)
        CALLER.get().sent(max(0, len(inflated) - len(part)))
        return inflated


@dataclass(frozen=True, slots=True)
class _ReadingPlan:
    """How much memory a body needs: `announced` bytes, in chunks of `chunk` bytes."""

    announced: int
    chunk: int

    def needed(self, size: int) -> int:
        """Return the bytes needed for the first `size` bytes and for what is read next."""
        if size < self.announced:
            return min(self.announced, size + self.chunk)
        return size if size and size == self.announced else size + self.chunk


def _plan(headers: Mapping[str, str], admission: Admission, limit: int) -> _ReadingPlan:
    """Plan how much memory to reserve for a body, from what is known of it.

    A sender who announces less than it sends only waits more often. Raises `LakegateError`
    (body_too_large).
    """
    size = announced_size(headers)
    if size is None:  # a gRPC caller's chunks may be of any size
        return _ReadingPlan(0, admission.unknown)
    admission.check_size(size, limit)
    return _ReadingPlan(size, CHUNK_BYTES)
