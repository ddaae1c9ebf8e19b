"""The errors that do not come from the server: those of Envoy, and those of gRPC itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from lakegate.errors import OUTCOME_UNKNOWN_MESSAGE, ErrorCode
from lakegate.wire import NOT_SENT_KEY, REQUEST_ID_KEY

CEL_FILTER = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_BODY = "%LOCAL_REPLY_BODY%"
# On every reply: a new request id, and in its place that of the request, where it was read.
_REQUEST_ID = [
    {
        "header": {"key": REQUEST_ID_KEY, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    for value in ("%UNIQUE_ID%", f"%REQ({REQUEST_ID_KEY})%")
]
_TOO_LARGE = "the body is too large: split it into smaller batches"
_LATE = "the request did not come in time"
_UNREACHABLE = "the server cannot be reached or has gone away: try again"

# Rows may be committed where the request was sent to the server; these details mean that it
# was not.
_IN_DOUBT = (
    "metadata.filter_metadata['lakegate']['in_doubt'] == true"
    " && (response.code >= 500 || response.code == 408)"
    " && !response.code_details.matches('connection_failure|connection_timeout|refused_stream"
    "|overflow|no_healthy_upstream|cluster_not_found')"
)
# REST, once transcoded.
_TRANSCODED = "'x-envoy-original-path' in request.headers"
_GRPC = (
    "'content-type' in request.headers"
    " && (request.headers['content-type'] == 'application/grpc'"
    " || request.headers['content-type'].startsWith('application/grpc+'))"
    f" && !({_TRANSCODED})"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error code and its message."""

    code: ErrorCode
    message: str


def _detail(name: str) -> str:
    return f"response.code_details == '{name}'"


# Requests that Envoy refuses before its filters see them: by Envoy's detail, the status and the
# message of `invalid_argument`.
_UNREADABLE: Mapping[str, tuple[int, str]] = {
    "http1.invalid_transfer_encoding": (400, "Transfer-Encoding must be chunked"),
    "upgrade_failed": (400, "only HTTP is supported: there is no protocol to upgrade to"),
    "path_normalization_failed": (
        400,
        "the path has an escaped slash, a backslash or a fragment",
    ),
    "missing_host_header": (400, "the request has no Host header"),
    "http1.headers_too_large": (431, "the headers are too large"),
    "http1.invalid_characters": (400, "a header has a character that is not allowed"),
}
# By the status that Envoy chose. The first match applies.
_BY_STATUS = (
    ("== 404", Refusal(ErrorCode.NOT_FOUND, "there is nothing at %REQ(:PATH):100%")),
    (
        "== 405",
        Refusal(ErrorCode.METHOD_NOT_ALLOWED, "%REQ(:PATH):100% does not take %REQ(:METHOD)%"),
    ),
    ("== 408", Refusal(ErrorCode.REQUEST_TIMEOUT, _LATE)),
    ("== 413", Refusal(ErrorCode.BODY_TOO_LARGE, _TOO_LARGE)),
    (">= 500", Refusal(ErrorCode.UNAVAILABLE, _UNREACHABLE)),
)

# The statuses of calls that gRPC itself refused, with messages that are not for callers. All
# others are BARE_FAILURE.
BARE_STATUSES: Mapping[grpc.StatusCode, Refusal] = {
    # A server that shuts down cancels its calls.
    grpc.StatusCode.CANCELLED: Refusal(ErrorCode.UNAVAILABLE, _UNREACHABLE),
    grpc.StatusCode.INVALID_ARGUMENT: Refusal(
        ErrorCode.INVALID_ARGUMENT, "the request cannot be read"
    ),
    # Envoy's limit for the time of a request, which the server may notice first.
    grpc.StatusCode.DEADLINE_EXCEEDED: Refusal(ErrorCode.REQUEST_TIMEOUT, _LATE),
    grpc.StatusCode.NOT_FOUND: Refusal(ErrorCode.NOT_FOUND, "there is nothing here"),
    grpc.StatusCode.PERMISSION_DENIED: Refusal(
        ErrorCode.PERMISSION_DENIED, "the server does not allow it"
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: Refusal(
        ErrorCode.OVERLOADED, "the server is overloaded: try again"
    ),
    grpc.StatusCode.UNIMPLEMENTED: Refusal(ErrorCode.NOT_FOUND, "there is nothing here"),
    grpc.StatusCode.UNAVAILABLE: Refusal(ErrorCode.UNAVAILABLE, _UNREACHABLE),
    grpc.StatusCode.UNAUTHENTICATED: Refusal(ErrorCode.UNAUTHENTICATED, "the token is not valid"),
}
BARE_FAILURE = Refusal(ErrorCode.INGEST_FAILED, "the server failed; its log has the cause")
BARE_TOO_LARGE = Refusal(ErrorCode.BODY_TOO_LARGE, _TOO_LARGE)
BARE_DOUBT = Refusal(ErrorCode.OUTCOME_UNKNOWN, OUTCOME_UNKNOWN_MESSAGE)
_OVERLOADED = Refusal(
    ErrorCode.OVERLOADED, "the server is overloaded, and nothing was written: try again"
)


def local_reply_config() -> dict[str, Any]:
    """Return Envoy's `local_reply_config`: the statuses and bodies of its own replies.

    A message in it is a format string of Envoy. The first mapper whose filter matches applies.
    """
    return {
        "mappers": [
            # No refusal: /openapi.json.
            _mapper("response.code == 200", _text(_BODY), content_type="application/json"),
            # Envoy has too much in memory.
            _refused(_detail("overload"), _OVERLOADED, header=("retry-after", "1")),
            # For native gRPC, an HTTP status of 500 is UNKNOWN, and the body is the message.
            _refused(f"{_IN_DOUBT} && {_TRANSCODED}", BARE_DOUBT),
            _mapper(
                _IN_DOUBT,
                _text(BARE_DOUBT.message),
                status=BARE_DOUBT.code.value.http_status,
            ),
            _mapper(_GRPC, _text(_BODY), header=(NOT_SENT_KEY, "true")),
            # The refusals of errors.lua are complete.
            _mapper(_detail("lua_response"), _text(_BODY), content_type="application/json"),
            # The transcoder's errors keep their status.
            _mapper(
                "response.code_details.startsWith('grpc_json_transcode_failure')",
                _error(Refusal(ErrorCode.BAD_REQUEST_BODY, _BODY)),
            ),
            *(
                _mapper(
                    _detail(detail),
                    _error(Refusal(ErrorCode.INVALID_ARGUMENT, message)),
                    status=status,
                )
                for detail, (status, message) in _UNREADABLE.items()
            ),
            *(_refused(f"response.code {status}", refusal) for status, refusal in _BY_STATUS),
            _mapper("true", _error(Refusal(ErrorCode.INVALID_ARGUMENT, _BODY))),
        ],
    }


def _refused(when: str, refusal: Refusal, header: tuple[str, str] | None = None) -> dict[str, Any]:
    """Return a mapper to an error with the status of its code."""
    status = refusal.code.value.http_status
    return _mapper(when, _error(refusal), status=status, header=header)


def _mapper(
    when: str,
    body: dict[str, Any],
    *,
    status: int | None = None,
    header: tuple[str, str] | None = None,
    content_type: str | None = None,
) -> dict[str, Any]:
    expression = {"@type": CEL_FILTER, "expression": when}
    mapper: dict[str, Any] = {
        "filter": {"extension_filter": {"name": "cel", "typed_config": expression}},
        "body_format_override": body | ({"content_type": content_type} if content_type else {}),
        "headers_to_add": [*_REQUEST_ID],
    }
    if status:
        mapper["status_code"] = status
    if header:
        key, value = header
        mapper["headers_to_add"].append({"header": {"key": key, "value": value}})
    return mapper


def _error(refusal: Refusal) -> dict[str, Any]:
    name = refusal.code.value.name
    error = {"code": name, "message": refusal.message, "request_id": f"%RESP({REQUEST_ID_KEY})%"}
    return {"json_format": {"error": error}}


def _text(text: str) -> dict[str, Any]:
    return {"text_format_source": {"inline_string": text}}
