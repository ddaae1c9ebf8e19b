"""Refuses new calls while the server stops, and waits for those under way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.interceptors.wrapping import Handler, WrappingInterceptor, wrapped
from lakegate.rpc.request.headers import Context


class DrainInterceptor(WrappingInterceptor):
    """Counts the calls under way; once `draining` is set, refuses those that begin.

    gRPC can refuse them too, but its refusals look like calls that were cut off.
    """

    def __init__(self, draining: asyncio.Event) -> None:
        """Refuse calls once `draining` is set."""
        super().__init__()
        self._draining = draining
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def wrap(self, handler: Handler, method: str) -> Handler:
        """Count the calls of the handler."""
        return wrapped(handler, method, self._answering, self._answering_stream)

    async def ended(self) -> None:
        """Return when no call is under way."""
        await self._idle.wait()

    def _answering(
        self, behaviour: Callable[[Any, Context], Awaitable[Any]], method: str
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        del method

        async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
            with self._call():
                return await behaviour(request, context)

        return answer

    def _answering_stream(
        self, behaviour: Callable[[Any, Context], AsyncIterator[Any]], method: str
    ) -> Callable[[Any, Context], AsyncIterator[Any]]:
        del method

        async def answer(requests: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - any message
            with self._call():
                async for response in behaviour(requests, context):
                    yield response

        return answer

    @contextmanager
    def _call(self) -> Iterator[None]:
        if self._draining.is_set():
            raise LakegateError(
                ErrorCode.UNAVAILABLE, "the server is shutting down", retry_after_seconds=1
            )
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
