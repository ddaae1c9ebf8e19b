"""How many bytes the columns of a batch take at most, once their encodings are expanded.

Arrays and buffers come in the order of the fields, a parent before its children (Arrow columnar
format, "RecordBatch message").
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.arrow.buffers import Batch
from lakegate.decode.arrow.schema import Field

_WIDEST = 32  # bytes of any value of fixed width but FixedSizeBinary
_VIEW_BYTES = 16
_OFFSET_BYTES = 4

# Values of the union `Type` of Schema.fbs.
_NULL, _BINARY, _UTF8, _LIST, _STRUCT, _UNION, _FIXED_BINARY, _FIXED_LIST, _MAP = (
    *(1, 4, 5, 12),
    *(13, 14, 15, 16, 17),
)
_LARGE_BINARY, _LARGE_UTF8, _LARGE_LIST, _RUN_ENDS = 19, 20, 21, 22
_BINARY_VIEW, _UTF8_VIEW, _LIST_VIEW, _LARGE_LIST_VIEW = 23, 24, 25, 26


class Extent(NamedTuple):
    """The bytes of an array, and of the longest of its values."""

    size: int
    longest: int


class Layout:
    """Goes through the arrays of a batch; `longest` has the longest value of each dictionary."""

    def __init__(self, batch: Batch, longest: Mapping[int, int]) -> None:
        """Start before the first array."""
        self._batch = batch
        self._longest = longest
        self._lengths = iter(batch.lengths)
        self._buffers = iter(range(len(batch.sizes)))
        self._variadic_counts = iter(batch.variadic_counts)

    def extent(self, field: Field) -> Extent:
        """Return what the next array takes, which is one of `field`.

        Raises `ValueError` where the batch has none.
        """
        try:
            return self._next(field)
        except StopIteration:
            raise ValueError("a batch has fewer arrays or buffers than its schema") from None

    def _next(self, field: Field) -> Extent:
        length = next(self._lengths)
        if field.dictionary is not None:
            self._skip(2)
            longest = self._longest.get(field.dictionary, 0)
            return Extent(length * (longest + _OFFSET_BYTES), longest)
        measure = self._MEASURES.get(field.type, Layout._fixed)
        return measure(self, field, length)

    def _null(self, _: Field, length: int) -> Extent:
        return Extent(length, 1)

    def _fixed(self, field: Field, length: int) -> Extent:
        self._skip(2)
        width = field.length if field.type == _FIXED_BINARY else _WIDEST
        return Extent(length * width, width)

    def _text(self, field: Field, length: int) -> Extent:
        self._skip(1)
        offsets, data = next(self._buffers), next(self._buffers)
        is_large = field.type in (_LARGE_BINARY, _LARGE_UTF8)
        size = self._batch.sizes[data]
        ends = self._numbers(offsets, length + 1, pa.int64() if is_large else pa.int32())
        longest = size if ends is None else _highest(pc.subtract_checked(ends[1:], ends[:-1]))
        return Extent(size + length * _OFFSET_BYTES, min(longest, size))

    def _view(self, _: Field, length: int) -> Extent:
        self._skip(1)
        views = next(self._buffers)
        others = [
            self._batch.sizes[next(self._buffers)] for _ in range(next(self._variadic_counts))
        ]
        numbers = self._numbers(views, length * _VIEW_BYTES // 4, pa.int32())
        if numbers is None:
            longest = max(_VIEW_BYTES, *others, 0)
            return Extent(length * longest, longest)
        sizes = numbers.take(pa.arange(0, len(numbers), _VIEW_BYTES // 4)).cast(pa.int64())
        return Extent((pc.sum(sizes).as_py() or 0) + length * _OFFSET_BYTES, _highest(sizes))

    def _list(self, field: Field, length: int) -> Extent:
        self._skip(2)
        items = self._children(field)
        return Extent(items.size + length * _OFFSET_BYTES, items.size)

    def _fixed_list(self, field: Field, length: int) -> Extent:
        self._skip(1)
        items = self._children(field)
        return Extent(items.size + length * _OFFSET_BYTES, field.length * items.longest)

    def _list_view(self, field: Field, length: int) -> Extent:
        self._skip(2)
        is_large = field.type == _LARGE_LIST_VIEW
        sizes = self._numbers(next(self._buffers), length, pa.int64() if is_large else pa.int32())
        items = self._children(field)
        if sizes is None:
            return Extent(length * items.size, items.size)
        referenced = pc.sum(sizes).as_py() or 0
        return Extent(
            referenced * items.longest + length * _OFFSET_BYTES, _highest(sizes) * items.longest
        )

    def _struct(self, field: Field, length: int) -> Extent:
        self._skip(1)
        return self._children(field, length)

    def _union(self, field: Field, length: int) -> Extent:
        del field, length
        raise ValueError("unions are not supported")

    def _run_ends(self, field: Field, length: int) -> Extent:
        ends_and_values = field.children
        if len(ends_and_values) != 2:  # noqa: PLR2004  # as it says
            raise ValueError("a run-end encoded column has other children than ends and values")
        self._next(ends_and_values[0])
        values = self._next(ends_and_values[1])
        return Extent(length * (values.longest + _OFFSET_BYTES), values.longest)

    def _children(self, field: Field, length: int = 0) -> Extent:
        extents = [self._next(child) for child in field.children]
        return Extent(
            sum(extent.size for extent in extents) + length,
            sum(extent.longest for extent in extents),
        )

    def _skip(self, buffers: int) -> None:
        for _ in range(buffers):
            next(self._buffers)

    def _numbers(self, buffer: int, count: int, type_: pa.DataType) -> pa.Array | None:
        """Return the numbers of a buffer; None where they are not known yet."""
        content = self._batch.content(buffer)
        if content is None:
            return None
        count = min(count, content.size * 8 // type_.bit_width)
        return pa.Array.from_buffers(type_, count, [None, content])

    _MEASURES: ClassVar[Mapping[int, Callable[["Layout", Field, int], Extent]]] = {
        _NULL: _null,
        **dict.fromkeys((_BINARY, _UTF8, _LARGE_BINARY, _LARGE_UTF8), _text),
        **dict.fromkeys((_BINARY_VIEW, _UTF8_VIEW), _view),
        **dict.fromkeys((_LIST, _LARGE_LIST, _MAP), _list),
        _FIXED_LIST: _fixed_list,
        **dict.fromkeys((_LIST_VIEW, _LARGE_LIST_VIEW), _list_view),
        _STRUCT: _struct,
        _UNION: _union,
        _RUN_ENDS: _run_ends,
    }


def _highest(numbers: pa.Array) -> int:
    return max(0, pc.max(numbers).as_py() or 0)
