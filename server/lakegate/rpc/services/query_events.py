"""QueryEventService: the events of query engines, decoded from the bytes of their messages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, replace
from typing import Any

import grpc
import grpc.aio
from google.api.httpbody_pb2 import HttpBody

from lakegate.concurrency.budget import Reservation
from lakegate.log import TABLE
from lakegate.model import Batch, Body, Decoder, TableName
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.interceptors.auth import CALLER
from lakegate.rpc.request.headers import Context, headers_of, idempotency
from lakegate.rpc.services.append import Append, append
from lakegate.rpc.services.bodies import BodyReader
from lakegate.rpc.services.streams import answer_in_order, result_of
from lakegate.v1 import query_events_pb2
from lakegate.v1.acknowledgement_pb2 import Acknowledgement
from lakegate.v1.query_events_pb2 import StreamQueriesResponse

QUERY_EVENTS_TABLE = "query_events"


@dataclass(frozen=True, slots=True)
class QueryEventDecoders:
    """The decoders of query events: of their JSON, and of `PushQueriesRequest` messages."""

    json: Decoder
    messages: Decoder


class QueryEventServicer:
    """Hands the raw bytes of requests to the decoders: no message is parsed in Python."""

    def __init__(
        self,
        lake: Append,
        decoders: QueryEventDecoders,
        admission: Admission,
        draining: asyncio.Event,
    ) -> None:
        """Append to `lake`, within `admission`; streams end once `draining` is set."""
        self._lake = lake
        self._decoders = decoders
        self._admission = admission
        self._bodies = BodyReader(admission)
        self._draining = draining

    async def PushQueriesBody(
        self, chunks: AsyncIterator[HttpBody], context: Context
    ) -> Acknowledgement:
        """Append the body of `POST /ingest/push/queries`, whatever its media type."""
        key, key_binds_body = idempotency(headers_of(context))
        table = _table(CALLER.get().database)
        owner = CALLER.get().owner(table.database, table.table)
        async with self._bodies.reserved(owner, context) as reading:
            _, data = await reading.read(chunks)
            batch = Batch(
                table=table,
                body=Body(data),
                decoder=self._decoders.json,
                idempotency_key=key,
                key_binds_body=key_binds_body,
            )
            del data
            return await append(self._lake, batch)

    async def PushQueries(self, request: bytes, context: Context) -> Acknowledgement:
        """Append one request, the bytes of a `PushQueriesRequest`."""
        key, key_binds_body = idempotency(headers_of(context))
        batch = self._batch(request, CALLER.get().database)
        return await append(
            self._lake, replace(batch, idempotency_key=key, key_binds_body=key_binds_body)
        )

    async def StreamQueries(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[StreamQueriesResponse]:
        """Append request after request, and answer each in its turn."""
        del context
        caller = CALLER.get()

        async def take(request: bytes) -> Acknowledgement:
            caller.sent(len(request))
            await caller.check_again(caller.database)
            return await append(self._lake, self._batch(request, caller.database))

        def answer(request: bytes) -> Awaitable[StreamQueriesResponse]:
            return result_of(take(request), StreamQueriesResponse)

        def reserve(request: bytes) -> Awaitable[Reservation]:
            owner = caller.owner(table=QUERY_EVENTS_TABLE)
            return self._admission.reserve_arrived(owner, len(request))

        async for response in answer_in_order(requests, answer, len, reserve, self._draining):
            yield response

    def _batch(self, request: bytes, database: str) -> Batch:
        return Batch(
            table=_table(database),
            body=Body(request),
            decoder=self._decoders.messages,
        )


def _table(database: str) -> TableName:
    table = TableName(database, QUERY_EVENTS_TABLE)
    TABLE.set(str(table))
    return table


def add_query_event_servicer(servicer: QueryEventServicer, server: grpc.aio.Server) -> None:
    """Register the servicer as generated code would, but for the requests: messages stay bytes."""
    service = query_events_pb2.DESCRIPTOR.services_by_name["QueryEventService"]
    handlers: dict[str, Any] = {
        "PushQueriesBody": grpc.stream_unary_rpc_method_handler(
            servicer.PushQueriesBody, HttpBody.FromString, Acknowledgement.SerializeToString
        ),
        "PushQueries": grpc.unary_unary_rpc_method_handler(
            servicer.PushQueries, response_serializer=Acknowledgement.SerializeToString
        ),
        "StreamQueries": grpc.stream_stream_rpc_method_handler(
            servicer.StreamQueries, response_serializer=StreamQueriesResponse.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service.full_name, handlers),)
    )
