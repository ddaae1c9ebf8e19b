"""Arrow columns to the type that the table's column has, without loss."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import expectation, is_dynamic, is_text, vector_length
from lakegate.decode import standard_columns as types
from lakegate.decode.tabular.normalize import UnsupportedError, entries, list_offsets
from lakegate.decode.tabular.to_json import JsonWriter
from lakegate.decode.text import shorten
from lakegate.decode.values.casts import coerce
from lakegate.decode.values.json_column import JsonColumn
from lakegate.decode.values.json_text import LineError, parse_value


def fit(array: pa.Array, column: pa.Field, writer: JsonWriter) -> pa.Array:
    """Return the values of a normalized array in the type of a column.

    Raises `UnsupportedError` for a value that it cannot hold as it is.
    """
    if is_dynamic(column):
        return _to_dynamic(array, writer).cast(column.type)
    if is_text(column.type):
        return _to_text(array, writer).cast(column.type)
    length = vector_length(column)
    if length is not None:
        _demand_length(array, length)
    return _fit(array, column)


def _to_dynamic(array: pa.Array, writer: JsonWriter) -> pa.Array:
    """Return JSON texts: a text has to be one already."""
    if not is_text(array.type):
        return writer.to_json(array)
    try:
        return pa.array(
            [None if text is None else parse_value(text) for text in array.to_pylist()], pa.string()
        )
    except LineError as error:
        raise UnsupportedError(f"expected JSON text: {error}") from None


def _to_text(array: pa.Array, writer: JsonWriter) -> pa.Array:
    return array if is_text(array.type) else JsonColumn(writer.to_json(array)).text()


def _demand_length(array: pa.Array, length: int) -> None:
    if not types.is_list(array.type):
        return
    if pc.any(pc.not_equal(pc.list_value_length(array), length)).as_py():
        raise UnsupportedError(f"expected lists of {length} numbers")
    if array.flatten().null_count:
        raise UnsupportedError("expected numbers, got a null in a list")


def _fit(array: pa.Array, column: pa.Field) -> pa.Array:
    if array.null_count and not column.nullable:
        raise UnsupportedError("expected a value, got null")
    target = column.type
    if types.is_number(array.type) and types.is_number(target):
        return _fit_numbers(array, target)
    if _is_moment(target) and (is_text(array.type) or pa.types.is_integer(array.type)):
        return _as_json_would(array, column)
    for is_type, fit_nested in _NESTED:
        if is_type(target) and is_type(array.type):
            return fit_nested(array, target)
    if array.type == target:
        return array
    if is_text(target) and is_text(array.type):
        return array.cast(target)
    raise UnsupportedError(f"expected {expectation(column)}, got Arrow's {array.type}")


def _is_moment(type_: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(type_) or pa.types.is_date32(type_))


def _fit_numbers(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Cast numbers to a type that has these very numbers."""
    try:
        converted = array.cast(target)
        lossless = converted.cast(array.type).equals(array)
    except pa.ArrowInvalid as error:
        raise UnsupportedError(str(error)) from None
    if pa.types.is_floating(array.type) and pc.any(pc.invert(pc.is_finite(array))).as_py():
        raise UnsupportedError("expected finite numbers, got NaN or Infinity")
    if not lossless:
        raise UnsupportedError(f"{array.type} does not fit in {target} without loss")
    return converted


def _as_json_would(array: pa.Array, column: pa.Field) -> pa.Array:
    """Read texts and whole numbers as JSON strings and numbers are read."""
    whole = pa.types.is_integer(array.type)
    field = JsonColumn(array.cast(pa.string())) if whole else JsonColumn(array, texts=True)
    converted = coerce(field, column)
    if converted.misfits is not None:
        row = pc.index(converted.misfits, True).as_py()
        value = shorten(field.json()[row].as_py())
        raise UnsupportedError(f"row {row + 1}: expected {expectation(column)}, got {value}")
    return converted.values


def _fit_list(array: pa.Array, target: pa.DataType) -> pa.Array:
    items = _fit(array.flatten(), target.value_field)
    plain = pa.list_(target.value_field)
    return pa.ListArray.from_arrays(
        list_offsets(array), items, type=plain, mask=array.is_null()
    ).cast(target)


def _fit_map(array: pa.MapArray, target: pa.MapType) -> pa.Array:
    lists = entries(array)
    keys, items = lists.flatten().flatten()
    return pa.MapArray.from_arrays(
        list_offsets(lists),
        _fit(keys, target.key_field),
        _fit(items, target.item_field),
        type=target,
        mask=array.is_null(),
    )


def _fit_struct(array: pa.StructArray, target: pa.StructType) -> pa.Array:
    given = [field.name for field in array.type]
    wanted = [field.name for field in target]
    unknown = [name for name in given if name not in wanted]
    if unknown:
        raise UnsupportedError(f'expected {target}, got a field "{unknown[0]}"')
    # A child of a row that is null itself counts as null, whatever its buffers have.
    children = [
        _fit(pc.struct_field(array, [name]), target.field(name).with_nullable(True))
        if name in given
        else pa.nulls(len(array), target.field(name).type)
        for name in wanted
    ]
    present = array.is_valid()
    for name, child in zip(wanted, children, strict=True):
        missing = pc.any(pc.and_(present, child.is_null())).as_py()
        if missing and not target.field(name).nullable:
            raise UnsupportedError(f'expected a value for "{name}", got null')
    return pa.StructArray.from_arrays(children, fields=list(target), mask=array.is_null())


_NESTED = [
    (types.is_list, _fit_list),
    (pa.types.is_map, _fit_map),
    (pa.types.is_struct, _fit_struct),
]
