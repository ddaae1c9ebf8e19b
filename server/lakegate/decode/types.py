"""The types of columns: what Arrow cannot say, and how errors call them."""

import re

import pyarrow as pa

from lakegate.batches import LOGICAL_TYPE
from lakegate.decode.timestamps import TIMESTAMP

AT = "at"
PROPS = "props"
DYNAMIC = b"dynamic"
_VECTOR = re.compile(rb"vector\(([0-9]+)\)")


def dynamic_field(name: str) -> pa.Field:
    """Make a column of JSON text."""
    return pa.field(name, pa.string(), metadata={LOGICAL_TYPE: DYNAMIC})


def new_field(name: str) -> pa.Field:
    """Make a column for a field that no column was made for."""
    return dynamic_field(name) if name == PROPS else pa.field(name, pa.string())


def is_dynamic(column: pa.Field) -> bool:
    """Tell whether a column holds JSON text."""
    return _logical(column) == DYNAMIC


def vector_length(column: pa.Field) -> int | None:
    """Give N of a column of `vector(N)`; None for any other."""
    match = _VECTOR.fullmatch(_logical(column))
    return int(match[1]) if match else None


def _logical(column: pa.Field) -> bytes:
    metadata: dict[bytes, bytes] = column.metadata or {}
    return metadata.get(LOGICAL_TYPE, b"")


def is_text(type_: pa.DataType) -> bool:
    """Tell whether a type is Arrow's string, of either size."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def is_list(type_: pa.DataType) -> bool:
    """Tell whether a type is Arrow's list, of either size."""
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


def is_number(type_: pa.DataType) -> bool:
    """Tell whether a type is one of numbers."""
    return bool(
        pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)
    )


def expectation(column: pa.Field) -> str:
    """Say what a column takes, for an error."""
    length = vector_length(column)
    if length is not None:
        return f"vector({length}) (an array of {length} finite numbers)"
    for is_type, words in _EXPECTATIONS:
        if is_type(column.type):
            return words
    return str(column.type)


_EXPECTATIONS = [
    (pa.types.is_boolean, "bool (true or false)"),
    (pa.types.is_int32, f"int (a whole number from {-(2**31)} to {2**31 - 1})"),
    (pa.types.is_int64, f"long (a whole number from {-(2**63)} to {2**63 - 1})"),
    (pa.types.is_floating, "real (a finite number)"),
    (
        pa.types.is_timestamp,
        "timestamp (RFC 3339 text with an offset, or whole nanoseconds since the epoch)",
    ),
    (pa.types.is_date32, "date (text like 2026-05-02)"),
    (pa.types.is_time64, "time (text like 10:00:00.5)"),
]

# The columns of a table that no one gave a schema.
DEFAULT_SCHEMA = pa.schema(
    [
        pa.field(AT, TIMESTAMP),
        pa.field("label", pa.string()),
        pa.field("body", pa.string()),
        dynamic_field(PROPS),
    ]
)
