"""JSON values to the type of their column, a column at a time.

Arrow's own casts convert a column that is right and plain throughout. Where they
may not, or take more than JSON allows, `values` decides value by value.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.convert import convert_json
from lakegate.columns.json_values import MisfitError
from lakegate.columns.registry import is_dynamic, is_text, vector_length
from lakegate.columns.timestamps import FIRST_NANOSECONDS
from lakegate.decode.values.json_column import JsonColumn
from lakegate.decode.values.timestamps import parse_iso_8601

_PLAIN_DECIMAL = r"^-?[0-9]{1,38}(\.[0-9]{1,38})?$"


@dataclass(frozen=True, slots=True)
class Column:
    """The values of a column; `misfits` are the rows whose value it cannot hold."""

    values: pa.Array
    misfits: pa.Array | None = None


class _NotPlain(Exception):  # noqa: N818  # no error: the other way is taken
    """A column that has to be looked at value by value."""


def coerce(field: JsonColumn, column: pa.Field) -> Column:
    """Convert the values of a field to the type of a column."""
    if is_dynamic(column):
        return Column(field.present().cast(column.type))
    if is_text(column.type):
        return Column(field.text().cast(column.type))
    try:
        return Column(_convert_plain(field, column))
    except (_NotPlain, pa.ArrowInvalid):
        return _convert_each(field.present(), column)


def _convert_plain(field: JsonColumn, column: pa.Field) -> pa.Array:
    length = vector_length(column)
    if length is not None:
        return _to_vector(field, column.type, length)
    for is_type, convert in _PLAIN:
        if is_type(column.type):
            return convert(field, column.type)
    raise _NotPlain


def _to_bool(field: JsonColumn, _: pa.DataType) -> pa.Array:
    values = _bare(field)
    if not pc.all(pc.is_in(values, pa.array(["true", "false", None], values.type))).as_py():
        raise _NotPlain
    return pc.equal(values, "true")


def _cast(field: JsonColumn, type_: pa.DataType) -> pa.Array:
    """Return integers; Arrow refuses what is none, or out of range."""
    return _bare(field).cast(type_)


def _to_decimal(field: JsonColumn, type_: pa.DataType) -> pa.Array:
    """Return decimals; Arrow refuses what it would have to round, and crashes at some exponents."""
    values = _bare(field)
    if not pc.all(pc.match_substring_regex(values, _PLAIN_DECIMAL), min_count=0).as_py():
        raise _NotPlain
    return values.cast(type_)


def _to_real(field: JsonColumn, type_: pa.DataType) -> pa.Array:
    numbers = _bare(field).cast(pa.float64()).cast(type_, safe=False)
    if not pc.all(pc.is_finite(numbers), min_count=0).as_py():
        raise _NotPlain
    return numbers


def _to_vector(field: JsonColumn, type_: pa.DataType, length: int) -> pa.Array:
    values = _bare(field)
    bracketed = pc.and_(pc.starts_with(values, "["), pc.ends_with(values, "]"))
    items = pc.split_pattern(pc.utf8_slice_codeunits(values, 1, -1), ",")
    right_length = pc.equal(pc.list_value_length(items), length)
    if not pc.all(pc.and_(bracketed, right_length), min_count=0).as_py() or length == 0:
        raise _NotPlain
    numbers = items.flatten().cast(pa.float64()).cast(type_.value_type, safe=False)
    if not pc.all(pc.is_finite(numbers), min_count=0).as_py():
        raise _NotPlain
    offsets = pa.array(range(0, (len(items) - items.null_count + 1) * length, length), pa.int32())
    packed = pa.ListArray.from_arrays(offsets, numbers, type=pa.list_(type_.value_field))
    if items.null_count:
        index = pc.cumulative_sum(items.is_valid().cast(pa.int64()))
        packed = packed.take(pc.if_else(items.is_valid(), pc.subtract(index, 1), None))
    return packed.cast(type_)


def _to_timestamp(field: JsonColumn, type_: pa.DataType) -> pa.Array:
    if type_.unit != "us":
        raise _NotPlain
    strings = field.strings()
    if strings.null_count == len(strings):
        nanoseconds = _bare(field).cast(pa.int64())
        if pc.any(pc.less(nanoseconds, FIRST_NANOSECONDS)).as_py():
            raise _NotPlain
        moments = nanoseconds.cast(pa.timestamp("ns"))
        return pc.floor_temporal(moments, unit="microsecond").cast(type_)
    moments = parse_iso_8601(strings)
    if not _all_strings(field, strings) or moments.null_count != strings.null_count:
        raise _NotPlain
    return moments.cast(type_)


def _all_strings(field: JsonColumn, strings: pa.Array) -> bool:
    return field.texts or strings.null_count == field.present().null_count


def _to_date(field: JsonColumn, type_: pa.DataType) -> pa.Array:
    strings = field.strings()
    if not _all_strings(field, strings):
        raise _NotPlain
    days = strings.cast(type_)
    if pc.any(pc.starts_with(strings, "0000")).as_py():
        raise _NotPlain
    return days


_PLAIN: list[
    tuple[Callable[[pa.DataType], bool], Callable[[JsonColumn, pa.DataType], pa.Array]]
] = [
    (pa.types.is_boolean, _to_bool),
    (pa.types.is_signed_integer, _cast),
    (pa.types.is_floating, _to_real),
    (pa.types.is_decimal, _to_decimal),
    (pa.types.is_timestamp, _to_timestamp),
    (pa.types.is_date32, _to_date),
]


def _bare(field: JsonColumn) -> pa.Array:
    """Return the JSON texts; the casts above refuse those of strings by their quotes."""
    if field.texts:
        raise _NotPlain
    return field.present()


def _convert_each(values: pa.Array, column: pa.Field) -> Column:
    converted, misfits = [], []
    for value in values.to_pylist():
        item, misfit = None, False
        if value is not None:
            try:
                item = convert_json(value, column)
            except MisfitError:
                misfit = True
        converted.append(item)
        misfits.append(misfit)
    array = _build(converted, column.type)
    return Column(array, pa.array(misfits, pa.bool_()) if any(misfits) else None)


def _build(values: list[object], type_: pa.DataType) -> pa.Array:
    if isinstance(type_, pa.BaseExtensionType):
        return type_.wrap_array(pa.array(values, type_.storage_type))
    return pa.array(values, type_)
