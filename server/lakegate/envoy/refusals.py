"""What callers get where no error of the server reaches them: Envoy's own, and gRPC's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from lakegate.errors import OUTCOME_UNKNOWN_MESSAGE, ErrorCode

_CEL = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_BODY = "%LOCAL_REPLY_BODY%"
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


@dataclass(frozen=True, slots=True)
class LocalReply:
    """Envoy's own reply, and what becomes of it.

    `when` is an expression in CEL; the message a format string of Envoy. Without `sets_status`
    the reply keeps the status that Envoy chose.
    """

    when: str
    code: ErrorCode
    message: str
    sets_status: bool = False


def _detail(name: str) -> str:
    return f"response.code_details == '{name}'"


# The first that applies counts.
_LOCAL_REPLIES = (
    LocalReply(
        "response.code_details.startsWith('grpc_json_transcode_failure')",
        ErrorCode.BAD_REQUEST_BODY,
        _BODY,
    ),
    # Requests that Envoy refuses before its filters see them.
    LocalReply(
        _detail("http1.invalid_transfer_encoding"),
        ErrorCode.INVALID_ARGUMENT,
        "Transfer-Encoding must be chunked",
        sets_status=True,
    ),
    LocalReply(
        _detail("upgrade_failed"),
        ErrorCode.INVALID_ARGUMENT,
        "only HTTP is spoken here: there is nothing to upgrade to",
        sets_status=True,
    ),
    LocalReply(
        _detail("path_normalization_failed"),
        ErrorCode.INVALID_ARGUMENT,
        "the path has an escaped slash, a backslash or a fragment",
    ),
    LocalReply(
        _detail("missing_host_header"), ErrorCode.INVALID_ARGUMENT, "the request names no host"
    ),
    LocalReply(
        _detail("low_version"),
        ErrorCode.INVALID_ARGUMENT,
        "HTTP/1.0 is not spoken here: use HTTP/1.1 or HTTP/2",
    ),
    LocalReply(
        _detail("http1.headers_too_large"),
        ErrorCode.INVALID_ARGUMENT,
        "the headers are too large",
    ),
    LocalReply(
        _detail("http1.unexpected_underscore"),
        ErrorCode.INVALID_ARGUMENT,
        "the name of a header has an underscore",
    ),
    LocalReply(
        _detail("http1.invalid_characters"),
        ErrorCode.INVALID_ARGUMENT,
        "a header has a character that none may have",
    ),
    LocalReply("response.code == 404", ErrorCode.NOT_FOUND, "there is nothing at %REQ(:PATH):100%"),
    LocalReply(
        "response.code == 405",
        ErrorCode.METHOD_NOT_ALLOWED,
        "%REQ(:PATH):100% does not take %REQ(:METHOD)%",
    ),
    LocalReply("response.code == 408", ErrorCode.REQUEST_TIMEOUT, _LATE),
    LocalReply("response.code == 413", ErrorCode.BODY_TOO_LARGE, _TOO_LARGE),
    LocalReply("response.code >= 500", ErrorCode.UNAVAILABLE, _UNREACHABLE, sets_status=True),
)

# gRPC's statuses that come without an error of the server: gRPC refused the call itself, in
# words that are not for callers. All others are BARE_FAILURE.
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
        ErrorCode.OVERLOADED, "the server has too much to do: try again"
    ),
    grpc.StatusCode.UNIMPLEMENTED: Refusal(ErrorCode.NOT_FOUND, "there is nothing here"),
    grpc.StatusCode.UNAVAILABLE: Refusal(ErrorCode.UNAVAILABLE, _UNREACHABLE),
    grpc.StatusCode.UNAUTHENTICATED: Refusal(
        ErrorCode.UNAUTHENTICATED, "the server does not know the caller"
    ),
}
BARE_FAILURE = Refusal(ErrorCode.INGEST_FAILED, "the server failed; its log has the cause")
BARE_TOO_LARGE = Refusal(ErrorCode.BODY_TOO_LARGE, _TOO_LARGE)
BARE_DOUBT = Refusal(ErrorCode.OUTCOME_UNKNOWN, OUTCOME_UNKNOWN_MESSAGE)


def local_reply_config() -> dict[str, Any]:
    """Return Envoy's `local_reply_config`: its own replies, with our bodies."""
    overloaded = "the server has too much to do, and nothing was written: try again"
    doubt = ErrorCode.OUTCOME_UNKNOWN
    return {
        "mappers": [
            # No refusal: /openapi.json.
            _mapper("response.code == 200", _unchanged(), content_type="application/json"),
            # Envoy has too much in memory.
            _mapper(
                _detail("overload"),
                _error(ErrorCode.OVERLOADED, overloaded),
                status=ErrorCode.OVERLOADED.value.http_status,
                header=("retry-after", "1"),
            ),
            # For native gRPC, an HTTP status of 500 is UNKNOWN, and the body is the message.
            _mapper(
                f"{_IN_DOUBT} && {_TRANSCODED}",
                _error(doubt, OUTCOME_UNKNOWN_MESSAGE),
                status=doubt.value.http_status,
            ),
            _mapper(_IN_DOUBT, _text(OUTCOME_UNKNOWN_MESSAGE), status=doubt.value.http_status),
            _mapper(_GRPC, _unchanged(), header=("lakegate-not-sent", "true")),
            # The refusals of errors.lua are complete.
            _mapper(_detail("lua_response"), _unchanged(), content_type="application/json"),
            *(
                _mapper(
                    reply.when,
                    _error(reply.code, reply.message),
                    status=reply.code.value.http_status if reply.sets_status else None,
                )
                for reply in _LOCAL_REPLIES
            ),
        ],
        "body_format": _error(ErrorCode.INVALID_ARGUMENT, _BODY),
    }


def _mapper(
    when: str,
    body: dict[str, Any],
    *,
    status: int | None = None,
    header: tuple[str, str] | None = None,
    content_type: str | None = None,
) -> dict[str, Any]:
    expression = {"@type": _CEL, "expression": when}
    mapper: dict[str, Any] = {
        "filter": {"extension_filter": {"name": "cel", "typed_config": expression}},
        "body_format_override": body | ({"content_type": content_type} if content_type else {}),
    }
    if status:
        mapper["status_code"] = status
    if header:
        key, value = header
        mapper["headers_to_add"] = [{"header": {"key": key, "value": value}}]
    return mapper


def _error(code: ErrorCode, message: str) -> dict[str, Any]:
    error = {"code": code.value.name, "message": message, "request_id": "%REQ(X-REQUEST-ID)%"}
    return {"json_format": {"error": error}}


def _text(text: str) -> dict[str, Any]:
    return {"text_format_source": {"inline_string": text}}


def _unchanged() -> dict[str, Any]:
    return _text(_BODY)
