"""Projection of the columns of a data file to the current schema, by field id at every depth.

PyIceberg's own projection turns a null list of structs into an empty list, and a null map with
struct values into an empty map.
"""

import pyarrow as pa

from lakegate.lake.table.schema import FIELD_ID


class IncompatibleTypesError(Exception):
    """A column has no field ids, or a type that cannot be promoted."""


def projected(rows: pa.Table, columns: pa.Schema) -> pa.Table:
    """Return the columns of `rows` with the ids of `columns`, and nulls for missing ones.

    Raises `IncompatibleTypesError`.
    """
    by_id = {_id(field): number for number, field in enumerate(rows.schema)}
    arrays = []
    for column in columns:
        number = by_id.get(_id(column))
        if number is None:
            arrays.append(pa.nulls(len(rows), column.type))
            continue
        chunks = [_projected(chunk, column.type) for chunk in rows.column(number).chunks]
        arrays.append(pa.chunked_array(chunks, column.type))
    return pa.Table.from_arrays(arrays, schema=columns)


def _projected(array: pa.Array, type_: pa.DataType) -> pa.Array:
    if pa.types.is_struct(type_) and pa.types.is_struct(array.type):
        return _struct(array, type_)
    if pa.types.is_large_list(array.type):
        array = array.cast(pa.list_(array.type.value_field))
    if pa.types.is_list(type_) and pa.types.is_list(array.type):
        _check_id(array.type.value_field, type_.value_field)
        return _nested(array, type_, _projected(array.values, type_.value_type))
    if pa.types.is_map(type_) and pa.types.is_map(array.type):
        return _map(array, type_)
    if array.type.equals(type_):
        return array
    if _is_promotion(array.type, type_):
        return array.cast(type_)
    raise IncompatibleTypesError


def _struct(array: pa.StructArray, type_: pa.StructType) -> pa.Array:
    by_id = {_id(field): number for number, field in enumerate(array.type)}
    fields = [
        _projected(array.field(by_id[_id(field)]), field.type)
        if _id(field) in by_id
        else pa.nulls(len(array), field.type)
        for field in type_
    ]
    return pa.StructArray.from_arrays(fields, fields=list(type_), mask=array.is_null())


def _map(array: pa.MapArray, type_: pa.MapType) -> pa.Array:
    _check_id(array.type.key_field, type_.key_field)
    _check_id(array.type.item_field, type_.item_field)
    entries = pa.StructArray.from_arrays(
        [_projected(array.keys, type_.key_type), _projected(array.items, type_.item_type)],
        fields=[type_.key_field, type_.item_field],
    )
    return _nested(array, type_, entries)


def _nested(array: pa.Array, type_: pa.DataType, values: pa.Array) -> pa.Array:
    """Return `array` with its child values replaced; nulls and offsets are kept."""
    validity_and_offsets = array.buffers()[:2]
    return pa.Array.from_buffers(
        type_, len(array), validity_and_offsets, offset=array.offset, children=[values]
    )


def _is_promotion(before: pa.DataType, now: pa.DataType) -> bool:
    """Whether the spec allows the promotion (Iceberg table spec, "Schema Evolution")."""
    return bool(
        (pa.types.is_integer(before) and pa.types.is_int64(now))
        or (pa.types.is_floating(before) and pa.types.is_float64(now))
        or (pa.types.is_large_string(before) and pa.types.is_string(now))
        or (pa.types.is_large_binary(before) and pa.types.is_binary(now))
        or (pa.types.is_decimal(before) and pa.types.is_decimal(now) and before.scale == now.scale)
    )


def _id(field: pa.Field) -> bytes:
    number = (field.metadata or {}).get(FIELD_ID)
    if number is None:
        raise IncompatibleTypesError
    return bytes(number)


def _check_id(before: pa.Field, now: pa.Field) -> None:
    if _id(before) != _id(now):
        raise IncompatibleTypesError
