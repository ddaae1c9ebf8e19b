"""Columns of TableService messages as Arrow fields."""

from collections.abc import Iterable

import pyarrow as pa

from lakegate.columns.registry import parse_field
from lakegate.columns.reserved import RESERVED_COLUMNS
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.request.headers import identifier
from lakegate.v1.tables_pb2 import Column


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the columns as Arrow fields, with Lakegate's own types in the metadata.

    Raises `LakegateError` (invalid_argument) that names the column.
    """
    fields: dict[str, pa.Field] = {}
    for column in columns:
        field = _field(column)
        if field.name in fields:
            raise LakegateError(ErrorCode.INVALID_ARGUMENT, f"column {field.name!r} is given twice")
        fields[field.name] = field
    return pa.schema(fields.values())


def _field(column: Column) -> pa.Field:
    name = identifier(column.name, "column")
    if name in RESERVED_COLUMNS:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, f"column {name!r}: the name is reserved by Iceberg"
        )
    try:
        return parse_field(name, column.type)
    except ValueError as error:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"column {name!r}: {column.type[:100]!r} is not a type: {error}",
        ) from None
