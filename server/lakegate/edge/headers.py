"""The headers that Envoy sets on every request before its filters see it."""

from typing import Any

from lakegate.wire import (
    BODY_END_KEY,
    BODY_MARK_KEY,
    EXPECTED_SIZE_KEY,
    HOST_KEY,
    MAX_REQUEST_ID_CHARACTERS,
    REQUEST_ID_CHARACTER,
    REQUEST_ID_KEY,
)

_SENT_ID = f"request.headers['{REQUEST_ID_KEY}']"
_SCRATCH_KEY = "lakegate-request-id"

# The caller's request id, or nothing where it is not one: Envoy's format string.
VALID_REQUEST_ID = (
    f"%CEL({_SENT_ID}.matches('^{REQUEST_ID_CHARACTER}+$')"
    f" && size({_SENT_ID}) <= {MAX_REQUEST_ID_CHARACTERS} ? {_SENT_ID} : '')%"
)


def header_mutations() -> list[dict[str, Any]]:
    """Return the mutations: internal headers are Envoy's alone, a request id is well-formed.

    Envoy makes a UUID for a request without an id.
    """
    return [
        *(_remove(key) for key in (BODY_END_KEY, EXPECTED_SIZE_KEY)),
        *_replace(BODY_MARK_KEY, "%UNIQUE_ID%"),
        *_replace(HOST_KEY, "%REQ(:AUTHORITY)%"),
        *_replace(_SCRATCH_KEY, VALID_REQUEST_ID),
        *_replace(REQUEST_ID_KEY, f"%REQ({_SCRATCH_KEY})%"),
        _remove(_SCRATCH_KEY),
    ]


def _replace(key: str, value: str) -> list[dict[str, Any]]:
    return [_remove(key), {"append": {"header": {"key": key, "value": value}}}]


def _remove(key: str) -> dict[str, Any]:
    return {"remove": key}
