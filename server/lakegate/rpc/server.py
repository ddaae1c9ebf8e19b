"""The gRPC server: every service on one port."""

import asyncio
from typing import Protocol

import grpc.aio
from grpc_health.v1 import health_pb2_grpc as grpc_health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as GRPC_HEALTH
from grpc_health.v1.health import aio as grpc_health
from grpc_reflection.v1alpha import reflection

from lakegate.contract import SERVICES
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.admission import MESSAGE_OVERHEAD_BYTES, Admission
from lakegate.rpc.interceptors.admission import AdmissionInterceptor
from lakegate.rpc.interceptors.auth import AuthInterceptor
from lakegate.rpc.interceptors.calls import CallInterceptor
from lakegate.rpc.interceptors.drain import DrainInterceptor
from lakegate.rpc.interceptors.public import PublicInterceptor
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.services.health import HealthServicer, Readiness, ServiceStatus
from lakegate.rpc.services.ingest import IngestServicer, Streams
from lakegate.rpc.services.query_events import (
    QueryEventDecoders,
    QueryEventServicer,
    add_query_event_servicer,
)
from lakegate.rpc.services.tables import Tables, TableServicer, add_table_servicer
from lakegate.rpc.tls import mutual_tls
from lakegate.settings import Settings
from lakegate.v1 import health_pb2_grpc, ingest_pb2_grpc

# Envoy takes headers of 64 KiB and adds some; each counts 32 bytes more (RFC 7541, section 4.1).
_MAX_METADATA_BYTES = 80 * 1024
# How long the answers may take after the lake has aborted its batches.
_ANSWER_SECONDS = 2.0


class Lake(Tables, Streams, Readiness, Protocol):
    """What the servicers and the end of the server need of the lake."""

    def abort(self) -> None:
        """Refuse at once every batch that is not answered, and those that come after.

        The code is `outcome_unknown` where the batch may be committed, else `unavailable`.
        """
        ...


class Server:
    """Serves the lake over gRPC on one port."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        formats: Formats,
        query_events: QueryEventDecoders,
        auth: AuthInterceptor,
    ) -> None:
        """Build the server and register every service; must run on the event loop."""
        self.address = settings.grpc_addr
        self._settings = settings
        self._lake = lake
        self._draining = asyncio.Event()
        self._health = grpc_health.HealthServicer()
        self._status = ServiceStatus(self._health, lake, SERVICES)
        self._calls = DrainInterceptor(self._draining)
        admission = Admission.of(settings)
        self._server = grpc.aio.server(
            interceptors=(
                CallInterceptor(),
                self._calls,
                auth,
                PublicInterceptor(admission.guard),
                AdmissionInterceptor(admission),
            ),
            options=options(settings),
        )
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(
            IngestServicer(lake, formats, admission, self._draining), self._server
        )
        add_query_event_servicer(
            QueryEventServicer(lake, query_events, admission, self._draining), self._server
        )
        tables = TableServicer(
            lake, formats.default.default_schema, settings.max_table_columns, admission
        )
        add_table_servicer(tables, self._server)
        health_pb2_grpc.add_HealthServiceServicer_to_server(
            HealthServicer(self._draining, lake), self._server
        )
        grpc_health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*SERVICES, GRPC_HEALTH, reflection.SERVICE_NAME), self._server
        )

    async def start(self) -> None:
        """Listen; from here on `address` has the port that was bound."""
        host = self._settings.grpc_addr.rpartition(":")[0]
        try:
            port = self._listen()
        except (RuntimeError, OSError) as error:
            raise LakegateError(
                ErrorCode.UNAVAILABLE, f"cannot listen on {self._settings.grpc_addr}: {error}"
            ) from error
        self.address = f"{host}:{port}"
        await self._server.start()
        await self._status.start()

    def _listen(self) -> int:
        credentials = mutual_tls(self._settings)
        if credentials is None:
            return self._server.add_insecure_port(self._settings.grpc_addr)
        return self._server.add_secure_port(self._settings.grpc_addr, credentials)

    async def drain(self) -> bool:
        """Refuse new calls, and return whether those under way have ended within `drain_seconds`.

        After that the lake answers the batches that it has.
        """
        await self._status.periodic.stop()
        await self._health.enter_graceful_shutdown()
        self._draining.set()
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._calls.ended()
        except TimeoutError:
            self._lake.abort()
            return False
        return True

    async def stop(self) -> None:
        """Drain, if that was not done, and close.

        Calls that are under way after that never reached the lake, and are cut off.
        """
        if not self._draining.is_set():
            await self.drain()
        await self._server.stop(_ANSWER_SECONDS)


def options(settings: Settings) -> list[tuple[str, int]]:
    """Return the channel arguments of the server."""
    return [
        ("grpc.max_receive_message_length", settings.max_body_bytes + MESSAGE_OVERHEAD_BYTES),
        # No compressed messages: gRPC decompresses them before their memory can be reserved.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        # What Envoy accepts and adds. Above it gRPC refuses calls in its own words; between the
        # two sizes it does so at random.
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        # What a sender may have on its way before anybody reads it, in bytes a call.
        # It does not grow without a probe of the bandwidth.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 64 * 1024),
        # Without this, a second server on the port would get some of the calls, unnoticed.
        ("grpc.so_reuseport", 0),
    ]
