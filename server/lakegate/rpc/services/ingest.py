"""IngestService: rows for any table, as a REST body, as one message, as a stream."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Protocol

from google.api.httpbody_pb2 import HttpBody

from lakegate.concurrency.budget import Reservation
from lakegate.errors import ErrorCode, LakegateError
from lakegate.log import TABLE
from lakegate.model import DEFAULT_DATABASE, Batch, Body, StreamPosition, TableName
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.interceptors.auth import CALLER
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
from lakegate.rpc.request.hints import Head
from lakegate.rpc.services.append import Append, append
from lakegate.rpc.services.bodies import BodyReader
from lakegate.rpc.services.streams import answer_in_order, result_of
from lakegate.v1 import ingest_pb2_grpc
from lakegate.v1.acknowledgement_pb2 import Acknowledgement
from lakegate.v1.ingest_pb2 import (
    GetStreamRequest,
    GetStreamResponse,
    IngestRequest,
    IngestStreamResponse,
)
from lakegate.wire import BODY_END_KEY, WARNING_KEY

_log = logging.getLogger("lakegate.rpc")


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
        self._bodies = BodyReader(admission)
        self._draining = draining

    async def IngestBody(
        self, chunks: AsyncIterator[HttpBody], context: Context
    ) -> Acknowledgement:
        """Append the body of `POST /v1/ingest`; the options are headers."""
        headers = headers_of(context)
        # Everything that can be refused is, before the body is read.
        table = table_name(headers.get("x-database", ""), headers.get("x-table", ""))
        TABLE.set(str(table))
        key, key_binds_body = idempotency(headers)
        auto_create = boolean(headers, "X-Auto-Create", default=True)
        schema_evolve = boolean(headers, "X-Schema-Evolve", default=True)
        owner = CALLER.get().owner(table.database, table.table)
        async with self._bodies.reserved(owner, context) as reading:
            content_type, data = await reading.read(chunks, self._formats.of_media_type)
            head = Head(data)
            batch = Batch(
                table=table,
                body=Body(data, schema_evolve),
                decoder=self._formats.of_media_type(content_type),
                auto_create=auto_create,
                idempotency_key=key,
                key_binds_body=key_binds_body,
            )
            del data
            done = await _append_or_hint(self._lake, batch, head, content_type)
        if done.rows_ingested == 0:
            await _warn_of_no_rows(context, table, headers)
        return done

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

    def _batch(self, request: IngestRequest) -> Batch:
        rows = request.WhichOneof("rows")
        decoder = self._formats.of_field(rows)
        data: bytes = getattr(request, rows)
        table = table_name(request.database, request.table)
        TABLE.set(str(table))
        self._admission.check_size(len(data))
        return Batch(
            table=table,
            body=Body(data, not request.HasField("schema_evolve") or request.schema_evolve),
            decoder=decoder,
            auto_create=not request.HasField("auto_create") or request.auto_create,
            idempotency_key=idempotency_key(request.idempotency_key),
            position=_position(request),
        )


async def _append_or_hint(
    lake: Append, batch: Batch, head: Head, content_type: str
) -> Acknowledgement:
    """Append a body. The refusal of one that was sent by mistake begins with a hint."""
    try:
        return await append(lake, batch)
    except LakegateError as error:
        hint = head.hint(content_type) if error.code is ErrorCode.BAD_REQUEST_BODY else ""
        if not hint:
            raise
        raise error.copy(f"{hint} ({error.message})") from None


async def _warn_of_no_rows(context: Context, table: TableName, headers: Mapping[str, str]) -> None:
    """Log a warning, and send it in a header over REST: curl sends this for a missing file."""
    _log.warning("%s: the body has no rows", table)
    if headers.get(BODY_END_KEY, "").startswith("mark"):  # else the headers are sent already
        await context.send_initial_metadata(((WARNING_KEY, "the body has no rows"),))


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
