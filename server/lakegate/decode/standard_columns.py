"""Columns that decoders make, and groups of Arrow types."""

import pyarrow as pa

from lakegate.columns.registry import TIMESTAMP, parse_field

AT = "at"
PROPS = "props"


def dynamic_field(name: str) -> pa.Field:
    """Return a column of JSON text."""
    return parse_field(name, "dynamic")


def new_field(name: str) -> pa.Field:
    """Return a column for a field that no column was made for."""
    return dynamic_field(name) if name == PROPS else pa.field(name, pa.string())


def is_list(type_: pa.DataType) -> bool:
    """Return whether a type is Arrow's list, of either size."""
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_))


def is_number(type_: pa.DataType) -> bool:
    """Return whether a type is one of numbers."""
    return bool(
        pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)
    )


# The columns of a table that no one gave a schema.
DEFAULT_SCHEMA = pa.schema(
    [
        pa.field(AT, TIMESTAMP),
        pa.field("label", pa.string()),
        pa.field("body", pa.string()),
        dynamic_field(PROPS),
    ]
)
