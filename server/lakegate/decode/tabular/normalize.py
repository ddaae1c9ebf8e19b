"""Arrow's many types to those that Iceberg tables have.

Iceberg table spec, version 2, "Primitive Types". Dictionaries, views and run-end
encodings are expanded; how much that takes is computed before.
"""

from collections.abc import Callable
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.timestamps import FIRST_MOMENT, LAST_MOMENT
from lakegate.errors import ErrorCode, LakegateError

_MAX_PRECISION = 38
_LARGEST_UINT64 = pa.decimal128(20, 0)  # has all its digits


class UnsupportedError(ValueError):
    """An Arrow type that Iceberg has no type for, or a value out of that type's range."""


def _is_list(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
    )


def _is_list_view(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_))


def _is_view(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(type_) or pa.types.is_binary_view(type_))


class Normalizer:
    """Converts the arrays of one body to Iceberg's types.

    Dictionaries, views and run-end encodings take at most `max_bytes` once they are expanded.
    """

    def __init__(self, max_bytes: int) -> None:
        """Refuse arrays that would take more than `max_bytes`."""
        self._max_bytes = max_bytes
        self._expanded = 0

    def normalize(self, array: pa.Array) -> pa.Array:
        """Return the same values in a type that Iceberg has.

        Raises `UnsupportedError` where there is none.
        """
        self._check_size(len(array))
        for is_type, normalize in self._ENCODED_OR_NESTED:
            if is_type(array.type):
                return normalize(self, array)
        return self._primitive(array)

    def _extension(self, array: pa.ExtensionArray) -> pa.Array:
        return array if array.type == pa.uuid() else self.normalize(array.storage)

    def _dictionary(self, array: pa.DictionaryArray) -> pa.Array:
        return self._gather(array.dictionary, array.indices)

    def _run_end_encoded(self, array: pa.RunEndEncodedArray) -> pa.Array:
        return self._gather(array.values, _runs(array))

    def _primitive(self, array: pa.Array) -> pa.Array:
        target = _primitive_type(array.type)
        if array.type == target and not pa.types.is_timestamp(target):
            return array
        if _is_view(array.type):
            self._count_expanded(pc.sum(_lengths(array)).as_py() or 0)
        try:
            if pa.types.is_timestamp(target) or pa.types.is_time(target):
                return _cut(array, target)
            return array.cast(target)
        except pa.ArrowInvalid as error:
            raise UnsupportedError(str(error)) from None

    def _struct(self, array: pa.StructArray) -> pa.Array:
        fields = list(array.type)
        if not fields or len({field.name.lower() for field in fields}) < len(fields):
            raise UnsupportedError(f"{array.type} has no fields, or some of one name")
        children = [self.normalize(array.field(i)) for i in range(len(fields))]
        return pa.StructArray.from_arrays(
            children, names=[field.name for field in fields], mask=array.is_null()
        )

    def _map(self, array: pa.MapArray) -> pa.Array:
        lists = entries(array)
        keys, items = map(self.normalize, lists.flatten().flatten())
        return pa.MapArray.from_arrays(list_offsets(lists), keys, items, mask=array.is_null())

    def _list(self, array: pa.Array) -> pa.Array:
        return _as_list(array, self.normalize(array.flatten()))

    def _list_view(self, array: pa.Array) -> pa.Array:
        self._check_size(pc.sum(pc.list_value_length(array)).as_py() or 0)
        positions = type(array).from_arrays(
            array.offsets, array.sizes, pa.arange(0, len(array.values)), mask=array.is_null()
        )
        return _as_list(array, self._gather(array.values, positions.flatten()))

    def _gather(self, values: pa.Array, indices: pa.Array) -> pa.Array:
        """Take values that may be referenced many times each, up to the limit."""
        self._check_size(len(indices))
        if len(values) > len(indices):
            values, indices = _only_used(values, indices)
        values = self.normalize(values)
        self._count_expanded(pc.sum(_sizes(values).take(indices)).as_py() or 0)
        return values.take(indices)

    def _count_expanded(self, size: int) -> None:
        self._expanded += size
        self._check_size(self._expanded)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise LakegateError(
                ErrorCode.BODY_TOO_LARGE,
                f"The body takes more than {self._max_bytes} bytes once its encodings are expanded",
            )

    _ENCODED_OR_NESTED: ClassVar = [
        (lambda type_: isinstance(type_, pa.BaseExtensionType), _extension),
        (pa.types.is_dictionary, _dictionary),
        (pa.types.is_run_end_encoded, _run_end_encoded),
        (pa.types.is_struct, _struct),
        (pa.types.is_map, _map),
        (_is_list_view, _list_view),
        (_is_list, _list),
    ]


def _only_used(values: pa.Array, indices: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Leave out values without an index: many small batches may share one large dictionary."""
    used = pc.unique(indices.drop_null())
    try:
        return values.take(used), pc.index_in(indices, value_set=used)
    except pa.ArrowNotImplementedError:  # for views
        return values, indices


def _as_list(array: pa.Array, items: pa.Array) -> pa.ListArray:
    """Make lists as long as those of `array`, of items that lie one after the other."""
    return pa.ListArray.from_arrays(list_offsets(array), items, mask=array.is_null())


def _cut(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Convert moments; cut off what is finer than a microsecond."""
    if array.type.unit == "ns":
        array = pc.floor_temporal(array, unit="microsecond")
    moments = array.cast(target)
    if pa.types.is_timestamp(target):
        extremes = pc.min_max(moments.cast(pa.int64()))
        least, most = extremes["min"].as_py(), extremes["max"].as_py()
        if least is not None and not FIRST_MOMENT <= least <= most <= LAST_MOMENT:
            raise UnsupportedError("a timestamp lies outside of the years 1 to 9999")
    return moments


def _runs(array: pa.Array) -> pa.Array:
    """Return for each row of a run-end encoded array the index of its run."""
    runs = pa.RunEndEncodedArray.from_arrays(
        array.run_ends,
        pa.arange(0, len(array.values)),
        pa.run_end_encoded(array.run_ends.type, pa.int64()),
    )
    return pc.run_end_decode(runs.slice(array.offset, len(array)))


def entries(array: pa.MapArray) -> pa.ListArray:
    """Return maps as lists of structs of a key and a value."""
    return pa.ListArray.from_arrays(
        pc.add(array.offsets, 0),  # a copy: a slice can have no mask
        pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"]),
        mask=array.is_null(),
    )


def list_offsets(array: pa.Array) -> pa.Array:
    """Return the offsets of lists whose items lie one list after the other; null has none."""
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(lengths.cast(pa.int64()))
    return pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int32())


def _sizes(array: pa.Array) -> pa.Array:
    """Return for each value about how many bytes it takes."""
    type_ = array.type
    if pa.types.is_struct(type_):
        sizes = _constant(1, len(array))
        for index in range(type_.num_fields):
            sizes = pc.add(sizes, _sizes(array.field(index)))
        return sizes
    if pa.types.is_map(type_):
        return _sizes(entries(array))
    if _is_list(type_):
        ends = pc.cumulative_sum(_sizes(array.flatten()))
        until = pa.concat_arrays([pa.array([0], pa.int64()), ends]).take(list_offsets(array))
        return pc.add(pc.subtract(until[1:], until[:-1]), 4)
    if pa.types.is_string(type_) or pa.types.is_binary(type_):
        return pc.add(pc.fill_null(pc.binary_length(array), 0).cast(pa.int64()), 4)
    return _constant(max(1, type_.bit_width // 8), len(array))


def _lengths(array: pa.Array) -> pa.Array:
    """Return for each text or binary value of a view its length in bytes."""
    # Arrow has no kernel for it. A view is 16 bytes; the first four are the length.
    end = array.offset + len(array)
    words = pa.Array.from_buffers(pa.int32(), 4 * end, [None, array.buffers()[1]])
    lengths = words.take(pa.arange(4 * array.offset, 4 * end, 4)).cast(pa.int64())
    return pc.if_else(array.is_valid(), lengths, 0)


def _constant(value: int, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.int64()), length)


def _primitive_type(type_: pa.DataType) -> pa.DataType:
    """Return the type that Iceberg has for a primitive type of Arrow."""
    for is_type, target in _PRIMITIVES:
        if is_type(type_):
            return target(type_)
    raise UnsupportedError(f"Iceberg has no type for Arrow's {type_}")


def _decimal(type_: pa.DataType) -> pa.DataType:
    if type_.precision > _MAX_PRECISION or not 0 <= type_.scale <= type_.precision:
        raise UnsupportedError(f"Iceberg has no type for Arrow's {type_}")
    return pa.decimal128(type_.precision, type_.scale)


def _always(target: pa.DataType) -> Callable[[pa.DataType], pa.DataType]:
    return lambda _: target


_PRIMITIVES: list[tuple[Callable[[pa.DataType], bool], Callable[[pa.DataType], pa.DataType]]] = [
    (pa.types.is_boolean, _always(pa.bool_())),
    (pa.types.is_uint64, _always(_LARGEST_UINT64)),
    (pa.types.is_uint32, _always(pa.int64())),
    (pa.types.is_int64, _always(pa.int64())),
    (pa.types.is_integer, _always(pa.int32())),
    (pa.types.is_float64, _always(pa.float64())),
    (pa.types.is_floating, _always(pa.float32())),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_date, _always(pa.date32())),
    (pa.types.is_time, _always(pa.time64("us"))),
    (pa.types.is_timestamp, lambda type_: pa.timestamp("us", "UTC" if type_.tz else None)),
    (pa.types.is_string, _always(pa.string())),
    (pa.types.is_large_string, _always(pa.string())),
    (pa.types.is_string_view, _always(pa.string())),
    (pa.types.is_fixed_size_binary, lambda type_: type_),
    (pa.types.is_binary, _always(pa.binary())),
    (pa.types.is_large_binary, _always(pa.binary())),
    (pa.types.is_binary_view, _always(pa.binary())),
]
