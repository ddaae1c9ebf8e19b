"""Conversion of schemas between Iceberg and Arrow, for decoders and for data files.

Arrow and Iceberg have no types for JSON text (`dynamic`) and for vectors of one length
(`vector(N)`). In Arrow they are field metadata; in a table they are a property by field id, so
that a column keeps its type when another engine renames it.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa
from pyiceberg.io.pyarrow import (
    UnsupportedPyArrowTypeException,
    pyarrow_to_schema,
    schema_to_pyarrow,
)
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.types import IntegerType, LongType, NestedField

from lakegate.columns.registry import LOGICAL_TYPE
from lakegate.errors import ErrorCode, LakegateError

LOGICAL_TYPE_PROPERTY = "lakegate.type."
FIELD_ID = b"PARQUET:field_id"
INT_BITS = 32


def arrow_schema(schema: Schema, properties: Mapping[str, str]) -> pa.Schema:
    """Return the columns for decoders: plain Arrow types, all optional."""
    plain = schema_to_pyarrow(schema, include_field_ids=False)
    return pa.schema(
        [
            _plain(arrow).with_metadata(_logical_metadata(field.field_id, properties))
            for field, arrow in zip(schema.fields, plain, strict=True)
        ]
    )


def file_schema(schema: Schema, names: Sequence[str]) -> pa.Schema:
    """Return the columns `names` for a data file, with field ids in the metadata.

    A column that a file does not have is null (Iceberg table spec, "Column Projection").
    """
    chosen = Schema(*(schema.find_field(name) for name in names))
    return pa.schema([_plain(field) for field in schema_to_pyarrow(chosen)])


def iceberg_schema(schema: pa.Schema, first_id: int = 1) -> Schema:
    """Return optional Iceberg columns for Arrow columns, with ids from `first_id` on.

    Raises `LakegateError` for an Arrow type without an Iceberg type.
    """
    ids = itertools.count(1)
    identified = pa.schema([_identified(_plain(field), ids) for field in schema])
    try:
        converted = pyarrow_to_schema(identified, downcast_ns_timestamp_to_us=True)
    except (UnsupportedPyArrowTypeException, TypeError, ValueError) as error:
        raise LakegateError(
            ErrorCode.BAD_REQUEST_BODY, f"A column has no Iceberg type: {error}"
        ) from error
    return assign_fresh_schema_ids(converted, _counter(first_id))


def logical_properties(schema: Schema, arrow: pa.Schema) -> dict[str, str]:
    """Return the table properties that store the logical types of the columns of `arrow`."""
    return {
        f"{LOGICAL_TYPE_PROPERTY}{schema.find_field(field.name).field_id}": logical
        for field in arrow
        if (logical := logical_type(field)) is not None
    }


def logical_type(field: pa.Field) -> str | None:
    """Return `dynamic` or `vector(N)`; None for a plain Arrow type."""
    value = (field.metadata or {}).get(LOGICAL_TYPE)
    return value.decode() if value is not None else None


def round_trip(schema: pa.Schema) -> pa.Schema:
    """Return the columns as a table that is created from them has them."""
    converted = iceberg_schema(schema)
    return arrow_schema(converted, logical_properties(converted, schema))


def new_columns(rows: pa.Schema, table: pa.Schema) -> pa.Schema:
    """Return the columns of `rows` that `table` does not have."""
    known = set(table.names)
    return pa.schema([field for field in rows if field.name not in known])


def conflicting(rows: pa.Schema, table: pa.Schema) -> Iterator[str]:
    """Yield the names of the columns that `rows` and `table` have with different types."""
    for field in rows:
        index = table.get_field_index(field.name)
        if index >= 0 and not _same(_plain(field), table.field(index)):
            yield field.name


def widened(schema: Schema, added: Schema, longer: Sequence[str] = ()) -> Schema:
    """Return `schema` with the columns of `added` appended and the columns `longer` as `long`."""
    names = set(longer)
    kept = [_as_long(field) if field.name in names else field for field in schema.fields]
    return Schema(*kept, *added.fields, identifier_field_ids=schema.identifier_field_ids)


def is_widening(old: NestedField, new: pa.Field) -> bool:
    """Whether the column can be promoted to the type of `new`: only `int` to `long`."""
    return isinstance(old.field_type, IntegerType) and bool(pa.types.is_int64(new.type))


def _same(left: pa.Field, right: pa.Field) -> bool:
    return bool(left.type == right.type and logical_type(left) == logical_type(right))


def _as_long(field: NestedField) -> NestedField:
    return field.model_copy(update={"field_type": LongType()})


def _logical_metadata(field_id: int, properties: Mapping[str, str]) -> dict[bytes, bytes] | None:
    logical = properties.get(f"{LOGICAL_TYPE_PROPERTY}{field_id}")
    return {LOGICAL_TYPE: logical.encode()} if logical is not None else None


def _plain(field: pa.Field) -> pa.Field:
    """Return the field as optional, with the Arrow type that its Iceberg type is read as."""
    return pa.field(field.name, _plain_type(field.type), nullable=True, metadata=field.metadata)


def _plain_type(type_: pa.DataType) -> pa.DataType:
    for matches, convert in _PLAIN_TYPES:
        if matches(type_):
            return convert(type_)
    return type_


def _is_list(type_: pa.DataType) -> bool:
    return any(matches(type_) for matches in _LIST_TYPES)


def _plain_map(type_: pa.DataType) -> pa.DataType:
    key = type_.key_field
    plain_key = pa.field(key.name, _plain_type(key.type), nullable=False, metadata=key.metadata)
    return pa.map_(plain_key, _plain(type_.item_field))


def _plain_integer(type_: pa.DataType) -> pa.DataType:
    bits = type_.bit_width + pa.types.is_unsigned_integer(type_)
    if bits <= INT_BITS:
        return pa.int32()
    return pa.decimal128(20, 0) if bits > 2 * INT_BITS else pa.int64()


_LIST_TYPES = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)

_Matcher = Callable[[pa.DataType], bool]
_Converter = Callable[[pa.DataType], pa.DataType]

_PLAIN_TYPES: Sequence[tuple[_Matcher, _Converter]] = (
    (pa.types.is_dictionary, lambda type_: _plain_type(type_.value_type)),
    (pa.types.is_large_string, lambda _: pa.string()),
    (pa.types.is_string_view, lambda _: pa.string()),
    (pa.types.is_null, lambda _: pa.string()),
    (pa.types.is_large_binary, lambda _: pa.binary()),
    (pa.types.is_binary_view, lambda _: pa.binary()),
    (pa.types.is_integer, _plain_integer),
    (pa.types.is_float16, lambda _: pa.float32()),
    (pa.types.is_date64, lambda _: pa.date32()),
    (pa.types.is_time, lambda _: pa.time64("us")),
    (pa.types.is_timestamp, lambda type_: pa.timestamp("us", "UTC" if type_.tz else None)),
    (_is_list, lambda type_: pa.list_(_plain(type_.value_field.with_name("element")))),
    (pa.types.is_map, _plain_map),
    (pa.types.is_struct, lambda type_: pa.struct([_plain(field) for field in type_])),
)


def _identified(field: pa.Field, ids: Iterator[int]) -> pa.Field:
    metadata = {**(field.metadata or {}), FIELD_ID: str(next(ids)).encode()}
    metadata.pop(LOGICAL_TYPE, None)
    return pa.field(field.name, _identified_type(field.type, ids), field.nullable, metadata)


def _identified_type(type_: pa.DataType, ids: Iterator[int]) -> pa.DataType:
    if pa.types.is_struct(type_):
        return pa.struct([_identified(field, ids) for field in type_])
    if pa.types.is_list(type_):
        return pa.list_(_identified(type_.value_field, ids))
    if pa.types.is_map(type_):
        return pa.map_(_identified(type_.key_field, ids), _identified(type_.item_field, ids))
    return type_


def _counter(first: int) -> Callable[[], int]:
    ids = itertools.count(first)
    return lambda: next(ids)
