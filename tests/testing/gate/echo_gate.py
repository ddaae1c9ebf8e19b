"""Envoy in front of a server that only says what reached it: Envoy's part, seen alone."""

# ruff: noqa: N802 - the methods have the names of the contract

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import httpx
from google.api.httpbody_pb2 import HttpBody
from grpc_health.v1 import health_pb2_grpc as grpc_health_pb2_grpc
from grpc_health.v1.health import aio as grpc_health

from lakegate.edge.process import Envoy, running_envoy
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.interceptors.calls import CallInterceptor
from lakegate.rpc.request.completeness import whole_body
from lakegate.rpc.server import options
from lakegate.settings import Settings
from lakegate.v1 import (
    health_pb2_grpc,
    ingest_pb2_grpc,
    query_events_pb2_grpc,
    tables_pb2_grpc,
)
from lakegate.v1.acknowledgement_pb2 import Acknowledgement
from lakegate.v1.health_pb2 import GetHealthRequest, GetHealthResponse
from lakegate.v1.ingest_pb2 import IngestRequest, IngestStreamResponse
from lakegate.v1.query_events_pb2 import PushQueriesRequest
from lakegate.v1.tables_pb2 import ListTablesRequest, ListTablesResponse

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class Echo(
    ingest_pb2_grpc.IngestServiceServicer,
    query_events_pb2_grpc.QueryEventServiceServicer,
    health_pb2_grpc.HealthServiceServicer,
    tables_pb2_grpc.TableServiceServicer,
):
    """Remembers what reached it. The header `x-refuse-after` makes it refuse a long body."""

    metadata: list[dict[str, str]] = field(default_factory=list)
    pieces: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def IngestBody(
        self, chunks: AsyncIterator[HttpBody], context: Context
    ) -> Acknowledgement:
        headers = self._remember(context)
        body = hashlib.sha256()
        size = 0
        async for _, data in whole_body(chunks, context):
            size += len(data)
            body.update(data)
            if data:
                self.pieces.put_nowait(data)
            if size > int(headers.get("x-refuse-after", size)):
                raise LakegateError(ErrorCode.BODY_TOO_LARGE, "enough")
        await self._do_as_asked(headers)
        return Acknowledgement(snapshot_id=body.hexdigest(), bytes_written=size)

    async def PushQueriesBody(
        self, chunks: AsyncIterator[HttpBody], context: Context
    ) -> Acknowledgement:
        return await self.IngestBody(chunks, context)

    async def Ingest(self, request: IngestRequest, context: Context) -> Acknowledgement:
        await self._do_as_asked(self._remember(context))
        return Acknowledgement(snapshot_id=request.table)

    async def IngestStream(
        self, requests: AsyncIterator[IngestRequest], context: Context
    ) -> AsyncIterator[IngestStreamResponse]:
        self._remember(context)
        async for request in requests:
            yield IngestStreamResponse(acknowledgement=Acknowledgement(snapshot_id=request.table))

    async def PushQueries(self, request: PushQueriesRequest, context: Context) -> Acknowledgement:
        await self._do_as_asked(self._remember(context))
        return Acknowledgement(rows_ingested=len(request.queries))

    async def GetHealth(self, request: GetHealthRequest, context: Context) -> GetHealthResponse:
        del request
        headers = self._remember(context)
        if words := headers.get("x-abort"):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
        return GetHealthResponse(status="ok")

    async def ListTables(self, request: ListTablesRequest, context: Context) -> ListTablesResponse:
        self._remember(context)
        return ListTablesResponse(tables=[request.database, str(request.page_size)])

    async def _do_as_asked(self, headers: Mapping[str, str]) -> None:
        if "x-refuse" in headers:
            code = ErrorCode[headers["x-refuse"]]
            raise LakegateError(code, 'no "ü"\n', retry_after_seconds=2.5)
        if "x-wait" in headers:
            self.waiting.set()
            await self.go_on.wait()

    def _remember(self, context: Context) -> dict[str, str]:
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        if (seconds := context.time_remaining()) is not None:
            metadata["x-time-remaining"] = str(seconds)
        self.metadata.append(metadata)
        return metadata


@dataclass
class EchoGate:
    """An echo server with Envoy in front."""

    echo: Echo
    server: grpc.aio.Server
    envoy: Envoy
    rest: httpx.AsyncClient
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.envoy.http_addr}"

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.envoy.http_addr.rpartition(":")
        return host, int(port)


def free_ports() -> Settings:
    return Settings(http_addr="127.0.0.1:0", grpc_addr="127.0.0.1:0")


@contextmanager
def _no_errors_in_envoys_log() -> Iterator[None]:
    """A script error in a filter does not fail a request: it is only logged."""
    errors: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(record.getMessage())  # type: ignore[method-assign]  # a handler made of one function
    log = logging.getLogger("lakegate.envoy")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
    assert errors == []


@asynccontextmanager
async def running_echo_gate(**changes: object) -> AsyncIterator[EchoGate]:
    """Run the two; `changes`: of the settings."""
    settings = free_ports().model_copy(update=changes)
    echo = Echo()
    server = grpc.aio.server(interceptors=(CallInterceptor(),), options=options(settings))
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(echo, server)
    query_events_pb2_grpc.add_QueryEventServiceServicer_to_server(echo, server)
    health_pb2_grpc.add_HealthServiceServicer_to_server(echo, server)
    tables_pb2_grpc.add_TableServiceServicer_to_server(echo, server)
    grpc_health_pb2_grpc.add_HealthServicer_to_server(grpc_health.HealthServicer(), server)
    port = server.add_insecure_port(settings.grpc_addr)
    await server.start()
    try:
        with _no_errors_in_envoys_log():
            async with (
                running_envoy(settings, f"127.0.0.1:{port}") as envoy,
                httpx.AsyncClient(base_url=f"http://{envoy.http_addr}", timeout=60) as rest,
            ):
                yield EchoGate(echo, server, envoy, rest, port)
    finally:
        await server.stop(None)
