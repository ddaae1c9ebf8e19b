"""HealthService: `GET /health` and `GET /ready`; and the status of each service for gRPC."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from grpc_health.v1.health import aio as grpc_health
from grpc_health.v1.health_pb2 import HealthCheckResponse

from lakegate.concurrency.periodic import Periodic
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.request.headers import Context
from lakegate.v1 import health_pb2_grpc
from lakegate.v1.health_pb2 import (
    GetHealthRequest,
    GetHealthResponse,
    GetReadinessRequest,
    GetReadinessResponse,
)

# How often the status of each service for grpc.health.v1 is updated.
UPDATE_SECONDS = 5.0
# Services that work without the ledger, and without anything.
_WITHOUT_LEDGER = frozenset(("lakegate.v1.TableService",))
_LIVENESS = frozenset(("", "lakegate.v1.HealthService"))


class Readiness(Protocol):
    """What a server depends on."""

    async def failing(self) -> Sequence[str]:
        """Return what does not work of the catalog, the ledger and the storage, by name."""
        ...


class ServiceStatus:
    """The status of each service for grpc.health.v1; that of the server as a whole is liveness."""

    def __init__(
        self, health: grpc_health.HealthServicer, readiness: Readiness, services: Sequence[str]
    ) -> None:
        """Set the status of `services` in `health`."""
        self._health = health
        self._readiness = readiness
        self._services = services
        self.periodic = Periodic(UPDATE_SECONDS, self.update)

    async def start(self) -> None:
        """Set every status to serving, and update them from now on."""
        for service in ("", *self._services):
            await self._health.set(service, HealthCheckResponse.SERVING)
        self.periodic.start()

    async def update(self) -> None:
        """Set the status of each service by what works now."""
        failing = set(await self._readiness.failing())
        for service in self._services:
            needs = failing - {"ledger"} if service in _WITHOUT_LEDGER else failing
            serves = not needs or service in _LIVENESS
            status = HealthCheckResponse.SERVING if serves else HealthCheckResponse.NOT_SERVING
            await self._health.set(service, status)


class HealthServicer(health_pb2_grpc.HealthServiceServicer):
    """Returns whether the server takes requests, and whether it can commit rows."""

    def __init__(self, draining: asyncio.Event, readiness: Readiness) -> None:
        """Answer `unavailable` once `draining` is set."""
        self._draining = draining
        self._readiness = readiness

    async def GetHealth(self, request: GetHealthRequest, context: Context) -> GetHealthResponse:
        """Return `ok`."""
        del request, context
        self._check_draining()
        return GetHealthResponse(status="ok")

    async def GetReadiness(
        self, request: GetReadinessRequest, context: Context
    ) -> GetReadinessResponse:
        """Return `ready`."""
        del request, context
        self._check_draining()
        if failing := await self._readiness.failing():
            raise LakegateError(ErrorCode.UNAVAILABLE, f"These do not work: {', '.join(failing)}.")
        return GetReadinessResponse(status="ready")

    def _check_draining(self) -> None:
        if self._draining.is_set():
            raise LakegateError(ErrorCode.UNAVAILABLE, "the server is shutting down")
