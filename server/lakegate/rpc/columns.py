"""The words for column types, as callers of TableService say and read them."""

import re
from collections.abc import Iterable

import pyarrow as pa

from lakegate.batches import LOGICAL_TYPE
from lakegate.errors import ErrorCode, LakegateError
from lakegate.reserved import RESERVED_COLUMNS
from lakegate.rpc.headers import identifier
from lakegate.v1.tables_pb2 import Column

_PLAIN_TYPES = {
    "bool": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "real": pa.float64(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}
_VECTOR = re.compile(r"vector\(\s*([1-9][0-9]{0,4})\s*\)")
MAX_VECTOR_LENGTH = 16_384
# Where Iceberg has another word for the same type.
_WORDS = {"boolean": "bool", "double": "real", "timestamptz": "timestamp"}


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Give the columns as Arrow fields; types that Arrow lacks are in their metadata.

    Raises `LakegateError` (invalid_argument) that names the column.
    """
    fields = [_field(column) for column in columns]
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise LakegateError(ErrorCode.INVALID_ARGUMENT, f"column {name!r} is given twice")
    return pa.schema(fields)


def type_word(iceberg_type: str, logical_type: str | None) -> str:
    """Give the word for a column's type: ours where there is one, else Iceberg's."""
    return logical_type or _WORDS.get(iceberg_type, iceberg_type)


def _field(column: Column) -> pa.Field:
    name = identifier(column.name, "column")
    if name in RESERVED_COLUMNS:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, f"column {name!r}: Iceberg keeps this name for itself"
        )
    word = column.type.strip().lower()
    if word in _PLAIN_TYPES:
        return pa.field(name, _PLAIN_TYPES[word])
    if word == "dynamic":
        return pa.field(name, pa.string(), metadata={LOGICAL_TYPE: b"dynamic"})
    if (vector := _VECTOR.fullmatch(word)) and int(vector.group(1)) <= MAX_VECTOR_LENGTH:
        length = vector.group(1)
        return pa.field(
            name, pa.list_(pa.float32()), metadata={LOGICAL_TYPE: f"vector({length})".encode()}
        )
    raise LakegateError(
        ErrorCode.INVALID_ARGUMENT,
        f"column {name!r}: {column.type[:100]!r} is no type: "
        f"take {', '.join(_PLAIN_TYPES)}, dynamic or vector(N), "
        f"N from 1 to {MAX_VECTOR_LENGTH}",
    )
