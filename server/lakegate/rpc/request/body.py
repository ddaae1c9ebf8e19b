"""The body of a REST request: read in chunks, inflated, within the memory reserved for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from google.api.httpbody_pb2 import HttpBody

from lakegate.concurrency.budget import Hold
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.request.completeness import whole_body
from lakegate.rpc.request.headers import Context, headers_of
from lakegate.rpc.request.inflate import inflater

# Envoy sends bodies in chunks of up to this size.
CHUNK_BYTES = 1024 * 1024
# Where Envoy puts the Content-Length of a REST body, which the chunks do not have; 0 where it is
# not known. A gRPC caller has no such thing: its chunks may be of any size.
EXPECTED_SIZE_KEY = "lakegate-expected-bytes"
_DIGITS = 12


class BodyReader:
    """Reads bodies for which `admission` has memory."""

    def __init__(self, admission: Admission) -> None:
        """Limit bodies as `admission` does."""
        self._admission = admission

    @asynccontextmanager
    async def reserved(
        self, key: str, context: Context, largest: int | None = None
    ) -> AsyncIterator["BodyReading"]:
        """Reserve memory for one body, and for what it becomes, until the block ends.

        `key`: what the memory counts for. `largest`: the limit of the body, in bytes.
        """
        admission = self._admission
        headers = headers_of(context)
        plan = _plan(headers, admission)
        async with admission.room(key, plan.room(0)) as hold:
            yield BodyReading(
                admission,
                context,
                headers.get("content-encoding", ""),
                hold,
                plan,
                min(largest or admission.max_body_bytes, admission.max_body_bytes),
            )


@dataclass(frozen=True, slots=True)
class BodyReading:
    """One body, with the memory that is reserved for it."""

    admission: Admission
    context: Context
    content_encoding: str
    hold: Hold
    plan: "_ReadingPlan"
    largest: int

    async def read(
        self, chunks: AsyncIterator[HttpBody], check_media_type: Callable[[str], object] = str
    ) -> tuple[str, bytes]:
        """Return the media type and the bytes of a whole body.

        Raises `LakegateError`, as soon as the body is known to be too large or of no use.
        """
        async with self.admission.reading():
            media_type, data = await self._collect(
                whole_body(chunks, self.context), check_media_type
            )
        self.hold.shrink(len(data))
        return media_type, data

    async def _collect(
        self,
        chunks: AsyncIterator[tuple[str, bytes]],
        check_media_type: Callable[[str], object],
    ) -> tuple[str, bytes]:
        """Collect the chunks. Memory is reserved for each before it is read."""
        inflating = inflater(self.content_encoding)
        admission, hold, plan = self.admission, self.hold, self.plan
        content_type = ""
        parts: list[bytes] = []
        size = 0
        async for media_type, data in chunks:
            if not parts:
                content_type = media_type
                check_media_type(content_type)
            part = data
            del data
            if inflating:
                # It may inflate to anything, so for that moment much is reserved.
                await admission.grow(hold, size + len(part) + admission.unknown)
                part = await asyncio.to_thread(inflating.inflate, part, self.largest - size)
            size += len(part)
            admission.check_size(size, self.largest)
            parts.append(part)
            if inflating:
                hold.shrink(plan.room(size))
            await admission.grow(hold, plan.room(size))
        if inflating:
            inflating.finish()
        return content_type, b"".join(parts)


@dataclass(frozen=True, slots=True)
class _ReadingPlan:
    """How much memory a body needs: `expected` bytes, and beyond that chunks of `chunk`."""

    expected: int
    chunk: int

    def room(self, size: int) -> int:
        """Return the memory for the first `size` bytes and what is read next."""
        return self.expected if size <= self.expected else size + self.chunk


def _plan(headers: Mapping[str, str], admission: Admission) -> _ReadingPlan:
    """Plan how much memory a body needs, from what is known of it.

    Whoever announces less than is sent only waits more often.
    """
    announced = headers.get(EXPECTED_SIZE_KEY)
    if announced is None:
        return _ReadingPlan(0, admission.unknown)
    size = int(announced[:_DIGITS]) if announced.isdecimal() else 0
    return _ReadingPlan(min(size, admission.max_body_bytes), CHUNK_BYTES)
