"""IngestService: rows for any table, as a REST body, as one message, as a stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from google.api.httpbody_pb2 import HttpBody

from lakegate.concurrency.budget import Reservation
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import DEFAULT_DATABASE, Batch, Body, StreamPosition, TableName
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.interceptors.auth import CALLER
from lakegate.rpc.request.completeness import whole_body
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.request.headers import (
    Context,
    boolean,
    headers_of,
    idempotency,
    idempotency_key,
    stream_id,
    table_name,
)
from lakegate.rpc.request.inflate import Inflater, inflater
from lakegate.rpc.services.append import Append, append
from lakegate.rpc.services.streams import answer_in_order, result_of
from lakegate.v1 import ingest_pb2_grpc
from lakegate.v1.acknowledgement_pb2 import Acknowledgement
from lakegate.v1.ingest_pb2 import (
    GetStreamRequest,
    GetStreamResponse,
    IngestRequest,
    IngestStreamResponse,
)

# Envoy sends bodies in chunks of up to this size.
CHUNK_BYTES = 1024 * 1024
# Where Envoy puts the Content-Length of a REST body, which the chunks do not have; 0 where it is
# not known. A gRPC caller has no such thing: its chunks may be of any size.
EXPECTED_SIZE_KEY = "lakegate-expected-bytes"
_DIGITS = 12


class Streams(Append, Protocol):
    """What this servicer needs of the lake."""

    async def next_offset(self, name: TableName, stream_id: str) -> int:
        """Return the offset that a stream of batches goes on with."""
        ...


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """Reads batches off the wire and hands them to the lake."""

    def __init__(
        self, lake: Streams, formats: Formats, admission: Admission, draining: asyncio.Event
    ) -> None:
        """Append to `lake`, within `admission`; streams end once `draining` is set."""
        self._lake = lake
        self._formats = formats
        self._admission = admission
        self._draining = draining

    async def IngestBody(
        self, chunks: AsyncIterator[HttpBody], context: Context
    ) -> Acknowledgement:
        """Append the body of `POST /v1/ingest`; the options are headers."""
        headers = headers_of(context)
        # Everything that can be refused is, before the body is read.
        table = table_name(headers.get("x-database", ""), headers.get("x-table", ""))
        key, key_binds_body = idempotency(headers)
        auto_create = boolean(headers, "X-Auto-Create", default=True)
        schema_evolve = boolean(headers, "X-Schema-Evolve", default=True)
        caller = CALLER.get()
        plan = self._reading_plan(headers)
        owner = caller.owner(table.database, table.table)
        async with self._admission.reserving(owner, plan.needed(0), plan.announced) as reservation:
            async with self._admission.reading():
                content_type, data = await self._read(
                    self._admission.pace.checked(whole_body(chunks, context)),
                    inflater(headers.get("content-encoding", "")),
                    reservation,
                    plan,
                )
            reservation.shrink(len(data))
            batch = Batch(
                table=table,
                body=Body(data, schema_evolve),
                decoder=self._formats.of_media_type(content_type),
                auto_create=auto_create,
                idempotency_key=key,
                key_binds_body=key_binds_body,
            )
            del data
            return await append(self._lake, batch)

    async def Ingest(self, request: IngestRequest, context: Context) -> Acknowledgement:
        """Append one batch."""
        del context
        batch = self._batch(request)
        del request  # its rows are in the batch
        return await append(self._lake, batch)

    def IngestStream(
        self, requests: AsyncIterator[IngestRequest], context: Context
    ) -> AsyncIterator[IngestStreamResponse]:
        """Append batch after batch, and answer each in its turn."""
        del context
        caller = CALLER.get()

        turn = asyncio.Lock()

        async def take(request: IngestRequest) -> Acknowledgement:
            async with turn:  # so that batches come to the lake in their order
                caller.sent(request.ByteSize())
                await caller.check_again(request.database or DEFAULT_DATABASE)
                batch = self._batch(request)
            del request  # its rows are in the batch
            return await append(self._lake, batch)

        def answer(request: IngestRequest) -> Awaitable[IngestStreamResponse]:
            return result_of(take(request), IngestStreamResponse)

        def reserve(request: IngestRequest) -> Awaitable[Reservation]:
            owner = caller.owner(request.database, request.table)
            return self._admission.reserve_arrived(owner, request.ByteSize())

        return answer_in_order(requests, answer, IngestRequest.ByteSize, reserve, self._draining)

    async def GetStream(self, request: GetStreamRequest, context: Context) -> GetStreamResponse:
        """Return the next offset of a stream."""
        del context
        table = table_name(request.database, request.table)
        stream = stream_id(request.stream_id)
        next_offset = await self._lake.next_offset(table, stream)
        return GetStreamResponse(stream_id=stream, next_offset=next_offset)

    def _reading_plan(self, headers: Mapping[str, str]) -> "_ReadingPlan":
        """Plan how much memory to reserve for a body, from what is known of it.

        A sender who announces less than it sends only waits more often.
        """
        announced = headers.get(EXPECTED_SIZE_KEY)
        if announced is None:
            return _ReadingPlan(0, self._admission.unknown)
        size = int(announced[:_DIGITS]) if announced.isdecimal() else 0
        return _ReadingPlan(min(size, self._admission.max_body_bytes), CHUNK_BYTES)

    async def _read(
        self,
        chunks: AsyncIterator[tuple[str, bytes]],
        inflating: Inflater | None,
        reservation: Reservation,
        plan: "_ReadingPlan",
    ) -> tuple[str, bytes]:
        """Collect a body; refuse it as soon as it is known to be too large or malformed.

        Memory is reserved for each chunk before it is read: HTTP/2 holds the sender back.
        """
        caller = CALLER.get()
        content_type = ""
        parts: list[bytes] = []
        size = 0
        async for media_type, data in chunks:
            if not parts:
                content_type = media_type
                self._formats.of_media_type(content_type)
            caller.sent(len(data))
            part = data
            del data
            if inflating:
                part = await self._inflate(inflating, part, reservation, size)
            size += len(part)
            self._admission.check_size(size)
            parts.append(part)
            if inflating:
                reservation.shrink(plan.needed(size))
            await self._admission.grow(reservation, plan.needed(size))
        if inflating:
            inflating.finish()
        return content_type, b"".join(parts)

    async def _inflate(
        self, inflating: Inflater, part: bytes, reservation: Reservation, size: int
    ) -> bytes:
        """Inflate a part of a body of which `size` bytes are there; rates count the larger size."""
        # It may inflate to anything, so much is reserved for that moment.
        await self._admission.grow(reservation, size + len(part) + self._admission.unknown)
        limit = self._admission.max_body_bytes - size
        inflated = await asyncio.to_thread(inflating.inflate, part, limit)
        CALLER.get().sent(max(0, len(inflated) - len(part)))
        return inflated

    def _batch(self, request: IngestRequest) -> Batch:
        rows = request.WhichOneof("rows")
        decoder = self._formats.of_field(rows)
        data: bytes = getattr(request, rows)
        self._admission.check_size(len(data))
        return Batch(
            table=table_name(request.database, request.table),
            body=Body(data, not request.HasField("schema_evolve") or request.schema_evolve),
            decoder=decoder,
            auto_create=not request.HasField("auto_create") or request.auto_create,
            idempotency_key=idempotency_key(request.idempotency_key),
            position=_position(request),
        )


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


def _position(request: IngestRequest) -> StreamPosition | None:
    """Return the place of a batch in its stream, where it has one."""
    if not request.stream_id and not request.HasField("offset"):
        return None
    if not (request.stream_id and request.HasField("offset")) or request.offset < 0:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, "stream_id goes with an offset, which is 0 or more"
        )
    if request.idempotency_key:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            "a batch has a stream_id and an offset, or an idempotency_key: not both",
        )
    return StreamPosition(stream_id(request.stream_id), request.offset)
