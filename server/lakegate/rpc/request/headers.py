"""The options of a request: HTTP headers, which arrive as gRPC metadata."""

import re
from collections.abc import Mapping
from typing import Any

import grpc.aio

from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import DEFAULT_DATABASE, TableName
from lakegate.wire import EXPECTED_SIZE_KEY

MAX_IDEMPOTENCY_KEY_CHARACTERS = 255
MAX_STREAM_ID_CHARACTERS = 255
# A string of RFC 8941, section 3.3.3.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")

Context = grpc.aio.ServicerContext[Any, Any]

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
# The options of a request: one value each.
_OPTIONS = {
    name.lower(): name
    for name in (
        *("X-Database", "X-Table", "X-Auto-Create", "X-Schema-Evolve"),
        *("X-Idempotency-Key", "Idempotency-Key"),
    )
}
_DIGITS = 12


def headers_of(context: Context) -> Mapping[str, str]:
    """Return the text metadata of a call; the last value of a repeated key.

    Raise `LakegateError` (invalid_argument) where an option has two values that differ.
    """
    headers: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if not isinstance(value, str):
            continue
        if key in _OPTIONS and headers.get(key, value) != value:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, f"{_OPTIONS[key]} is sent twice, with different values"
            )
        headers[key] = value
    return headers


def announced_size(headers: Mapping[str, str]) -> int | None:
    """Return the Content-Length that Envoy has read: 0 where unknown, None without Envoy."""
    announced = headers.get(EXPECTED_SIZE_KEY)
    if announced is None:
        return None
    return int(announced[:_DIGITS]) if announced.isdecimal() else 0


def boolean(headers: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a header that is true or false: also 1 or 0, yes or no, on or off, in any case."""
    value = headers.get(name.lower(), "").strip().lower()
    if not value:
        return default
    if value not in BOOLEANS:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, f"{name} must be true or false (or 1, 0, yes, no, on, off)"
        )
    return BOOLEANS[value]


def table_name(database: str, table: str) -> TableName:
    """Check the name of a table; an empty database is the default one."""
    if not table:
        raise LakegateError(
            ErrorCode.MISSING_TABLE_HEADER, "the table is missing: set X-Table (in gRPC: table)"
        )
    return TableName(
        identifier(database or DEFAULT_DATABASE, "database"), identifier(table, "table")
    )


def identifier(name: str, kind: str) -> str:
    """Check the name of a database or a table."""
    if not _IDENTIFIER.fullmatch(name):
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"{kind} {name[:100]!r} is not a name: it must be [a-z_][a-z0-9_]{{0,62}}",
        )
    return name


def stream_id(name: str) -> str:
    """Check the name of a stream."""
    if not 1 <= len(name) <= MAX_STREAM_ID_CHARACTERS or not _is_storable(name):
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"a stream_id has 1 to {MAX_STREAM_ID_CHARACTERS} characters, none of them NUL",
        )
    return name


def idempotency_key(key: str) -> str | None:
    """Check an idempotency key; an empty one is none."""
    if len(key) > MAX_IDEMPOTENCY_KEY_CHARACTERS or not _is_storable(key):
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"an idempotency key has at most {MAX_IDEMPOTENCY_KEY_CHARACTERS} characters, "
            "none of them NUL",
        )
    return key or None


def idempotency(headers: Mapping[str, str]) -> tuple[str | None, bool]:
    """Return the idempotency key of a request, and whether it is bound to its body.

    `Idempotency-Key` binds it (draft-ietf-httpapi-idempotency-key-header), `X-Idempotency-Key`
    does not. Raises `LakegateError` (invalid_argument), also where the two differ.
    """
    plain = idempotency_key(headers.get("x-idempotency-key", ""))
    binding = idempotency_key(_unquoted(headers.get("idempotency-key", "").strip()))
    if plain and binding and plain != binding:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, "Idempotency-Key and X-Idempotency-Key differ: send one"
        )
    return binding or plain, binding is not None


def _unquoted(value: str) -> str:
    """Return the text of a quoted string; a value without quotes as it is."""
    if not value.startswith('"'):
        return value
    quoted = _QUOTED.fullmatch(value)
    if quoted is None:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, "Idempotency-Key is no string of RFC 8941, section 3.3.3"
        )
    return _ESCAPED.sub(r"\1", quoted[1])


def _is_storable(text: str) -> bool:
    """Whether any SQL database takes the text."""
    return "\0" not in text
