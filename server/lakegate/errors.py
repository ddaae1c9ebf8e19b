"""The error codes: every way in which a request can be refused, defined once.

The folders below `rpc` raise `LakegateError`; only `rpc` translates it to a gRPC status and an
HTTP body.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Verdict:
    """A code on the wire: its name, HTTP status and gRPC status name."""

    name: str
    http_status: int
    grpc_status: str


class ErrorCode(Enum):
    """Every code that a caller can get."""

    MISSING_TABLE_HEADER = Verdict("missing_table_header", 400, "INVALID_ARGUMENT")
    INVALID_ARGUMENT = Verdict("invalid_argument", 400, "INVALID_ARGUMENT")
    BAD_REQUEST_BODY = Verdict("bad_request_body", 400, "INVALID_ARGUMENT")
    INVALID_QUERY_EVENT = Verdict("invalid_query_event", 400, "INVALID_ARGUMENT")
    UNAUTHENTICATED = Verdict("unauthenticated", 401, "UNAUTHENTICATED")
    PERMISSION_DENIED = Verdict("permission_denied", 403, "PERMISSION_DENIED")
    TABLE_NOT_FOUND = Verdict("table_not_found", 404, "NOT_FOUND")
    NOT_FOUND = Verdict("not_found", 404, "UNIMPLEMENTED")
    METHOD_NOT_ALLOWED = Verdict("method_not_allowed", 405, "UNIMPLEMENTED")
    REQUEST_TIMEOUT = Verdict("request_timeout", 408, "DEADLINE_EXCEEDED")
    OFFSET_OUT_OF_RANGE = Verdict("offset_out_of_range", 400, "OUT_OF_RANGE")
    SCHEMA_CONFLICT = Verdict("schema_conflict", 409, "FAILED_PRECONDITION")
    IDEMPOTENCY_KEY_REUSED = Verdict("idempotency_key_reused", 422, "FAILED_PRECONDITION")
    BODY_TOO_LARGE = Verdict("body_too_large", 413, "RESOURCE_EXHAUSTED")
    UNSUPPORTED_MEDIA_TYPE = Verdict("unsupported_media_type", 415, "INVALID_ARGUMENT")
    OVERLOADED = Verdict("overloaded", 429, "RESOURCE_EXHAUSTED")
    INGEST_FAILED = Verdict("ingest_failed", 500, "INTERNAL")
    # The same code for the caller; only the gRPC status differs for a conflict.
    COMMIT_CONFLICT = Verdict("ingest_failed", 500, "ABORTED")
    # The rows may or may not be committed. Never UNAVAILABLE in gRPC: clients retry that by
    # themselves, and without an idempotency key the rows could be committed twice.
    OUTCOME_UNKNOWN = Verdict("outcome_unknown", 500, "UNKNOWN")
    UNAVAILABLE = Verdict("unavailable", 503, "UNAVAILABLE")


# The message of OUTCOME_UNKNOWN, from the lake or from Envoy.
OUTCOME_UNKNOWN_MESSAGE = (
    "The rows may or may not be committed. A retry with the same idempotency key is safe."
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A fault of a request: `field` is its place, as a path or `line N`."""

    field: str
    description: str


class LakegateError(Exception):
    """A refusal of a request, which the caller gets.

    Nothing of the request was written, unless the code is OUTCOME_UNKNOWN.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        violations: tuple[Violation, ...] = (),
        retry_after_seconds: float | None = None,
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Refuse with `code`; `message` is for people and may quote the request.

        `metadata` is for programs, in `google.rpc.ErrorInfo`.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = violations
        self.retry_after_seconds = retry_after_seconds
        self.metadata = metadata
        self.cause = ""

    def caused_by(self, cause: str) -> "LakegateError":
        """Set what failed, for the log alone: it may have hosts and paths, and has no rows."""
        self.cause = cause
        return self

    def copy(self, message: str | None = None) -> "LakegateError":
        """Return a copy without the traceback, with another message if one is given."""
        return LakegateError(
            self.code,
            self.message if message is None else message,
            violations=self.violations,
            retry_after_seconds=self.retry_after_seconds,
            metadata=self.metadata,
        ).caused_by(self.cause)
