"""Refusals on the wire: a rich gRPC status, and with it the body for REST.

Rich statuses: `google.rpc.Status` in `grpc-status-details-bin` (gRPC's richer
error model), with `ErrorInfo`, `BadRequest` and `RetryInfo` as google.rpc
defines them.
"""

import json
import math

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from lakegate.errors import ErrorCode, LakegateError
from lakegate.wire import ERROR_BODY_KEY, HTTP_STATUS_KEY

# In bytes. gRPC peers refuse metadata of more than 8 KiB, and a message travels
# in it three times, in the worst case at three, one and six bytes a byte.
MAX_MESSAGE_BYTES = 400
_MAX_VIOLATION_BYTES = 150

RETRY_AFTER_KEY = "retry-after"
STATUS_DETAILS_KEY = "grpc-status-details-bin"

Metadata = tuple[tuple[str, str | bytes], ...]


def grpc_status_code(error: LakegateError) -> grpc.StatusCode:
    """Return the gRPC status code of a refusal."""
    return grpc.StatusCode[error.code.value.grpc_status]


def shortened_message(error: LakegateError) -> str:
    """Return the message, cut to what fits into metadata."""
    return _cut(error.message, MAX_MESSAGE_BYTES)


def rich_status(error: LakegateError, request_id: str) -> status_pb2.Status:
    """Return the refusal as `google.rpc.Status`, its details packed."""
    number, _ = grpc_status_code(error).value
    status = status_pb2.Status(code=number, message=shortened_message(error))
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason=error.code.value.name.upper(),
            domain="lakegate",
            metadata={**error.metadata, "request_id": request_id},
        )
    )
    if error.violations:
        status.details.add().Pack(_bad_request(error))
    if error.retry_after_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def error_metadata(error: LakegateError, request_id: str) -> Metadata:
    """Return the trailing metadata of a refusal."""
    metadata: Metadata = (
        (STATUS_DETAILS_KEY, rich_status(error, request_id).SerializeToString()),
        (HTTP_STATUS_KEY, str(error.code.value.http_status)),
        (ERROR_BODY_KEY, _rest_body(error, request_id)),
    )
    if error.code is ErrorCode.UNAUTHENTICATED:
        metadata += (("www-authenticate", "Bearer"),)  # RFC 9110, section 11.6.1
    if error.retry_after_seconds is not None:
        metadata += ((RETRY_AFTER_KEY, str(math.ceil(error.retry_after_seconds))),)
    return metadata


def _bad_request(error: LakegateError) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field,
                description=_cut(violation.description, _MAX_VIOLATION_BYTES),
            )
            for violation in error.violations
        ]
    )


def _rest_body(error: LakegateError, request_id: str) -> str:
    """Return the JSON body in ASCII, because metadata values are."""
    return json.dumps(
        {
            "error": {
                "code": error.code.value.name,
                "message": shortened_message(error),
                "request_id": request_id,
            }
        }
    )


def _cut(text: str, limit: int) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"
