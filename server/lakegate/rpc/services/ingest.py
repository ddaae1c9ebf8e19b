"""IngestService: rows for any table, as a REST body, as one message, as a stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from google.api.httpbody_pb2 import HttpBody

from lakegate.concurrency.budget import Hold
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import DEFAULT_DATABASE, Batch, Body, StreamPosition, TableName
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.interceptors.auth import CALLER
from lakegate.rpc.request.completeness import whole_body
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.request.headers import (
    Context,
    announced_size,
    boolean,
    headers_of,
    idempotency,
    idempotency_key,
    stream_id,
    table_name,
)
from lakegate.rpc.request.inflate import inflater
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
        """Append to `lake` what `admission` has room for; streams end once `draining` is set."""
        self._lake = lake
        self._formats = formats
        self._admission = admission
        self._draining = draining

    async def IngestBody(
        self, chunks: AsyncIterator[HttpBody], context: Context
    ) -> Acknowledgement:
        """Take the body of `POST /v1/ingest`; the options are headers."""
        headers = headers_of(context)
        # Everything that can be refused is, before the body is read.
        table = table_name(headers.get("x-database", ""), headers.get("x-table", ""))
        key, key_binds_body = idempotency(headers)
        auto_create = boolean(headers, "X-Auto-Create", default=True)
        schema_evolve = boolean(headers, "X-Schema-Evolve", default=True)
        plan = self._reading_plan(headers)
        async with self._admission.room(str(table), plan.room(0)) as hold:
            async with self._admission.reading():
                content_type, data = await self._read(
                    whole_body(chunks, context), headers.get("content-encoding", ""), hold, plan
                )
            hold.shrink(len(data))
            CALLER.get().sent(len(data))
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
        """Take one batch."""
        del context
        batch = self._batch(request)
        del request  # its rows are in the batch
        return await append(self._lake, batch)

    def IngestStream(
        self, requests: AsyncIterator[IngestRequest], context: Context
    ) -> AsyncIterator[IngestStreamResponse]:
        """Take batch after batch, and answer each in its turn."""
        del context
        caller = CALLER.get()

        turn = asyncio.Lock()

        async def take(request: IngestRequest) -> Acknowledgement:
            async with turn:  # so that batches come to the lake in their order
                await caller.check_again(request.database or DEFAULT_DATABASE)
                caller.sent(request.ByteSize())
                batch = self._batch(request)
            del request  # its rows are in the batch
            return await append(self._lake, batch)

        def answer(request: IngestRequest) -> Awaitable[IngestStreamResponse]:
            return result_of(take(request), IngestStreamResponse)

        def room(request: IngestRequest) -> Awaitable[Hold]:
            table = f"{request.database or DEFAULT_DATABASE}.{request.table}"
            return self._admission.keep(table, request.ByteSize())

        return answer_in_order(requests, answer, IngestRequest.ByteSize, room, self._draining)

    async def GetStream(self, request: GetStreamRequest, context: Context) -> GetStreamResponse:
        """Return the next offset of a stream."""
        del context
        table = table_name(request.database, request.table)
        stream = stream_id(request.stream_id)
        next_offset = await self._lake.next_offset(table, stream)
        return GetStreamResponse(stream_id=stream, next_offset=next_offset)

    def _reading_plan(self, headers: Mapping[str, str]) -> "_ReadingPlan":
        """Plan how much memory a body needs, from what is known of it.

        Whoever announces less than is sent only waits more often.
        """
        size = announced_size(headers)
        if size is None:  # a gRPC caller's chunks may be of any size
            return _ReadingPlan(0, self._admission.unknown)
        self._admission.check_size(size)
        return _ReadingPlan(size, CHUNK_BYTES)

    async def _read(
        self,
        chunks: AsyncIterator[tuple[str, bytes]],
        content_encoding: str,
        hold: Hold,
        plan: "_ReadingPlan",
    ) -> tuple[str, bytes]:
        """Collect a body; refuse it as soon as it is known to be too large or of no use.

        There is room for each chunk before it is read: HTTP/2 holds the sender back.
        """
        inflating = inflater(content_encoding)
        content_type = ""
        parts: list[bytes] = []
        size = 0
        largest = self._admission.max_body_bytes
        async for media_type, data in chunks:
            if not parts:
                content_type = media_type
                self._formats.of_media_type(content_type)
            part = data
            del data
            if inflating:
                # It may inflate to anything, so for that moment there is room for much.
                await self._admission.grow(hold, size + len(part) + self._admission.unknown)
                part = await asyncio.to_thread(inflating.inflate, part, largest - size)
            size += len(part)
            self._admission.check_size(size)
            parts.append(part)
            if inflating:
                hold.shrink(plan.room(size))
            await self._admission.grow(hold, plan.room(size))
        if inflating:
            inflating.finish()
        return content_type, b"".join(parts)

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
    """How much room a body needs: it has `expected` bytes, and beyond come chunks of `chunk`."""

    expected: int
    chunk: int

    def room(self, size: int) -> int:
        """Return the room for the first `size` bytes and what is read next."""
        return self.expected if size <= self.expected else size + self.chunk


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
