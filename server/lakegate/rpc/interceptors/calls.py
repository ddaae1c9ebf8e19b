"""Adds to every call its request id, its log line, and the status of its refusal."""

import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio

from lakegate.errors import ErrorCode, LakegateError
from lakegate.log import REQUEST_ID
from lakegate.rpc.interceptors.refusals import log_refusal
from lakegate.rpc.interceptors.wrapping import Handler, WrappingInterceptor, wrapped
from lakegate.rpc.request.headers import Context
from lakegate.rpc.status import error_metadata, grpc_status_code, shortened_message
from lakegate.wire import MAX_REQUEST_ID_CHARACTERS, REQUEST_ID_CHARACTER, REQUEST_ID_KEY

_REQUEST_ID = re.compile(f"{REQUEST_ID_CHARACTER}{{1,{MAX_REQUEST_ID_CHARACTERS}}}")

_log = logging.getLogger("lakegate.rpc")


class CallInterceptor(WrappingInterceptor):
    """Sets the request id of a call of the contract, and translates what its handler raises."""

    def wrap(self, handler: Handler, method: str) -> Handler:
        """End the call with a status if the handler raises."""
        return wrapped(handler, method, answering, answering_stream)


def answering(
    behaviour: Callable[[Any, Context], Awaitable[Any]], method: str
) -> Callable[[Any, Context], Awaitable[Any]]:
    """Wrap a handler that answers once: what it raises ends the call as a status."""

    async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
        with _call(method, context) as request_id:
            try:
                return await behaviour(request, context)
            except LakegateError as error:
                return await _refuse(context, error, request_id)
            except Exception as error:  # noqa: BLE001 - no traceback leaves the server
                return await _refuse(context, unexpected(error), request_id)

    return answer


def answering_stream(
    behaviour: Callable[[Any, Context], AsyncIterator[Any]], method: str
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    """Wrap a handler that answers with a stream: what it raises ends the call as a status."""

    async def answer(requests: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - any message
        with _call(method, context) as request_id:
            try:
                async for response in behaviour(requests, context):
                    yield response
            except LakegateError as error:
                await _refuse(context, error, request_id)
            except Exception as error:  # noqa: BLE001 - no traceback leaves the server
                await _refuse(context, unexpected(error), request_id)

    return answer


def unexpected(error: Exception) -> LakegateError:
    """Return the refusal for a fault of the server; only the log has the cause."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    _log.error("unexpected", exc_info=error)
    return LakegateError(ErrorCode.INGEST_FAILED, "internal error; the log has the cause")


@contextmanager
def _call(method: str, context: Context) -> Iterator[str]:
    request_id = _request_id(context)
    context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
    # Never reset: a call has a context of its own, and a stream whose client is gone ends
    # in another one.
    REQUEST_ID.set(request_id)
    begun = time.perf_counter()
    try:
        yield request_id
    finally:
        _log.info("%s done in %.1f ms", method, (time.perf_counter() - begun) * 1000)


def _request_id(context: Context) -> str:
    """Return the caller's request id, or a new one where it is missing or malformed."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str) and _REQUEST_ID.fullmatch(value):
            return value
    return str(uuid.uuid4())


async def _refuse(context: Context, error: LakegateError, request_id: str) -> None:
    log_refusal(error)
    # The frames of the traceback hold the body, and are part of a cycle.
    error.__traceback__ = None
    await context.abort(
        grpc_status_code(error),
        shortened_message(error),
        trailing_metadata=((REQUEST_ID_KEY, request_id), *error_metadata(error, request_id)),
    )
