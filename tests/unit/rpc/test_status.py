"""A refusal is one thing seen through two doors: a rich status and a JSON body."""

import json

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.rpc.status import (
    MAX_MESSAGE_BYTES,
    STATUS_DETAILS_KEY,
    error_metadata,
    grpc_status_code,
    rich_status,
)
from lakegate.wire import ERROR_BODY_KEY, HTTP_STATUS_KEY

# gRPC peers refuse more than this by default.
METADATA_LIMIT = 8192


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_a_grpc_status_and_a_fitting_http_status(code: ErrorCode) -> None:
    status = grpc_status_code(LakegateError(code, "words"))
    assert isinstance(status, grpc.StatusCode)
    is_callers_fault = code.value.http_status < 500
    assert is_callers_fault == (
        status
        not in {
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.ABORTED,
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.UNKNOWN,
        }
    )


def test_the_status_names_the_code_and_the_domain() -> None:
    status = rich_status(LakegateError(ErrorCode.TABLE_NOT_FOUND, "no orders"), "r-1")
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, status.message) == (grpc.StatusCode.NOT_FOUND.value[0], "no orders")
    assert (info.reason, info.domain) == ("TABLE_NOT_FOUND", "lakegate")
    assert info.metadata["request_id"] == "r-1"


def test_a_retry_is_advised_through_both_doors() -> None:
    error = LakegateError(ErrorCode.OVERLOADED, "later", retry_after_seconds=1.5)
    retry = error_details_pb2.RetryInfo()
    assert rich_status(error, "r").details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert dict(error_metadata(error, "r"))["retry-after"] == "2"


def test_the_body_for_rest_has_code_message_and_request_id() -> None:
    metadata = dict(error_metadata(LakegateError(ErrorCode.SCHEMA_CONFLICT, "naïve ☃"), "r-2"))
    assert metadata[HTTP_STATUS_KEY] == "409"
    body = metadata[ERROR_BODY_KEY]
    assert isinstance(body, str)
    assert body.isascii()
    assert json.loads(body) == {
        "error": {"code": "schema_conflict", "message": "naïve ☃", "request_id": "r-2"}
    }


@pytest.mark.parametrize("character", ["a", "☃", "😀", "\x01"])
def test_the_largest_refusal_fits_into_the_metadata_that_peers_take(character: str) -> None:
    error = LakegateError(
        ErrorCode.BAD_REQUEST_BODY,
        character * 10_000,
        violations=tuple(Violation(f"line {i}", character * 1_000) for i in range(10)),
    )
    metadata = error_metadata(error, "r" * 128)
    status = status_pb2.Status.FromString(dict(metadata)[STATUS_DETAILS_KEY])
    percent_encoded_message = 3 * len(status.message.encode())
    in_base64 = 4 / 3
    size = percent_encoded_message + sum(
        len(key) + (len(value) * in_base64 if isinstance(value, bytes) else len(value))
        for key, value in metadata
    )
    assert MAX_MESSAGE_BYTES - 4 < len(status.message.encode()) <= MAX_MESSAGE_BYTES
    assert size < METADATA_LIMIT
