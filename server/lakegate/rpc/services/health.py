"""HealthService: `GET /health`."""

import asyncio

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.request.headers import Context
from lakegate.v1 import health_pb2_grpc
from lakegate.v1.health_pb2 import GetHealthRequest, GetHealthResponse


class HealthServicer(health_pb2_grpc.HealthServiceServicer):
    """Returns whether the server takes requests."""

    def __init__(self, draining: asyncio.Event) -> None:
        """Answer `unavailable` once `draining` is set."""
        self._draining = draining

    async def GetHealth(self, request: GetHealthRequest, context: Context) -> GetHealthResponse:
        """Return `ok`."""
        del request, context
        if self._draining.is_set():
            raise LakegateError(ErrorCode.UNAVAILABLE, "the server is shutting down")
        return GetHealthResponse(status="ok")
