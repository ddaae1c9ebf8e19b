"""Streams of batches: answered in order, with many in flight."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from google.rpc import status_pb2

from lakegate.concurrency.budget import Reservation
from lakegate.errors import ErrorCode, LakegateError
from lakegate.log import REQUEST_ID
from lakegate.rpc.interceptors.calls import unexpected
from lakegate.rpc.interceptors.refusals import log_refusal
from lakegate.rpc.status import rich_status
from lakegate.v1.acknowledgement_pb2 import Acknowledgement

# A stream is read no further than this ahead of its oldest unanswered batch;
# beyond it HTTP/2 flow control holds the sender back.
MAX_BYTES_IN_FLIGHT = 128 * 1024 * 1024
MAX_BATCHES_IN_FLIGHT = 64

Request = TypeVar("Request")
Response = TypeVar("Response")


async def answer_in_order(
    requests: AsyncIterator[Request],
    answer: Callable[[Request], Awaitable[Response]],
    size: Callable[[Request], int],
    reserve: Callable[[Request], Awaitable[Reservation]],
    draining: asyncio.Event,
) -> AsyncGenerator[Response, None]:
    """Answer each request as soon as those before it are answered.

    `size` returns the bytes of a request, `reserve` reserves memory for it until it is answered;
    while there is none, nothing more is read. Once `draining` is set, or `requests` or `reserve`
    raise, nothing more is read: what was read is answered, then the stream ends with
    `unavailable`, or what was raised.
    """
    window = _Window()
    answers: asyncio.Queue[tuple[asyncio.Task[Response], int] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for request in requests:
                try:
                    reservation = await reserve(request)
                except BaseException:
                    del request  # what is raised keeps this frame
                    raise
                cost = window.enter(size(request))
                task = asyncio.create_task(_run(answer(request)))
                del request  # not to be kept until the next has arrived
                task.add_done_callback(partial(_release, reservation))
                answers.put_nowait((task, cost))
                await window.opening()
        finally:
            answers.put_nowait(None)

    reading = asyncio.create_task(read())
    stopping = asyncio.create_task(draining.wait())
    stopping.add_done_callback(lambda _: reading.cancel())
    in_flight: asyncio.Task[Response] | None = None
    try:
        while (item := await answers.get()) is not None:
            in_flight, cost = item
            yield await in_flight
            await window.leave(cost)
        if draining.is_set():
            raise LakegateError(ErrorCode.UNAVAILABLE, "the server is shutting down")
        await reading
    finally:
        stopping.cancel()
        reading.cancel()
        if in_flight:
            in_flight.cancel()
        while not answers.empty():
            if left := answers.get_nowait():
                left[0].cancel()


async def result_of(
    batch: Awaitable[Acknowledgement], response: Callable[..., Response]
) -> Response:
    """Wait for a batch and return its result: `acknowledgement` or `error`."""
    try:
        return response(acknowledgement=await batch)
    except LakegateError as error:
        return response(error=_status(error))
    except Exception as error:  # noqa: BLE001 - a stream outlives a batch that fails
        return response(error=_status(unexpected(error)))


def _status(error: LakegateError) -> status_pb2.Status:
    """Log the refusal of a batch, and return it as a status."""
    log_refusal(error)
    # The frames of the traceback hold the batch, and are part of a cycle.
    error.__traceback__ = None
    return rich_status(error, REQUEST_ID.get())


def _release(reservation: Reservation, _answered: "asyncio.Task[Response]") -> None:
    reservation.release()


async def _run(awaitable: Awaitable[Response]) -> Response:
    return await awaitable


class _Window:
    """Bounds bytes and batches at once: a batch costs its bytes, or the average if that is more."""

    def __init__(self) -> None:
        self._free = MAX_BYTES_IN_FLIGHT
        self._changed = asyncio.Condition()

    def enter(self, size: int) -> int:
        """Admit a batch of `size` bytes, which is there already; return its cost."""
        cost = max(size, MAX_BYTES_IN_FLIGHT // MAX_BATCHES_IN_FLIGHT)
        self._free -= cost
        return cost

    async def opening(self) -> None:
        """Wait until another batch may be read, of whatever size."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._free > 0)

    async def leave(self, cost: int) -> None:
        """Release what a batch cost."""
        async with self._changed:
            self._free += cost
            self._changed.notify()
