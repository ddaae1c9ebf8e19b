"""Structs in Thrift's compact protocol, as Parquet's footer and page headers are.

Written so that it never takes a claim otherwise than Arrow's generated reader does: what that
one might pass over or merge, such as a field that is there twice, is refused.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = *range(1, 11), 12
I32, I64, BINARY, LIST, STRUCT = _I32, _I64, _BINARY, _LIST, _STRUCT
_INTEGER_BITS = {_I16: 16, _I32: 32, _I64: 64}
_MAX_DEPTH = 16
_MAX_VARINT_BYTES = 10
_LONG_SIZE = 15  # of a list: the size follows

# What the fields of a struct have by their ids: a struct, a list of structs, or a list of a type.
# Arrow's reader takes the items of a list for what they should be, whatever the list says.
Layout: TypeAlias = Mapping[int, Any]

# By field id and type: a field of another type than expected is as good as none.
Struct: TypeAlias = dict[tuple[int, int], Any]


class Reader:
    """Reads values one after the other."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        """Start at a position. Reading raises `ValueError` or `IndexError` where data is bad."""
        self._data = data
        self.position = position

    def struct(self, layout: Layout, depth: int = 0) -> Struct:
        """Read a struct. `layout`: its fields that have lists, or structs with lists."""
        if depth > _MAX_DEPTH:
            raise ValueError("a struct nests too deep")
        fields: Struct = {}
        seen: set[int] = set()
        field = 0
        while header := self._byte():
            type_, delta = header & 0x0F, header >> 4
            field = field + delta if delta else self._integer(_I16)
            if field in seen:
                raise ValueError("a struct has a field twice")
            seen.add(field)
            if type_ not in (_TRUE, _FALSE):  # the value of a field is its type
                fields[field, type_] = self._value(type_, depth, layout.get(field))
        return fields

    def _value(self, type_: int, depth: int, layout: object) -> Any:  # noqa: ANN401  # as the type says
        if type_ in _INTEGER_BITS:
            return self._integer(type_)
        if type_ == _BINARY:
            return self._bytes(self._varint())
        if type_ == _STRUCT:
            return self.struct(layout if isinstance(layout, Mapping) else {}, depth + 1)
        if type_ in (_LIST, _SET):
            return self._list(depth + 1, layout)
        if type_ in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if type_ == _DOUBLE:
            return self._bytes(8)
        raise ValueError("a struct has a field of a type that Parquet has no use for")

    def _list(self, depth: int, layout: object) -> list[Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("a list nests too deep")
        header = self._byte()
        size, type_ = header >> 4, header & 0x0F
        if size == _LONG_SIZE:
            size = self._varint()
        if layout is not None and type_ != (layout if isinstance(layout, int) else _STRUCT):
            raise ValueError("a list has items of another type than Parquet's")
        return [self._value(type_, depth, layout) for _ in range(size)]

    def _integer(self, type_: int) -> int:
        value = self._varint()
        if value >> _INTEGER_BITS[type_]:
            raise ValueError("an integer is too large")
        return (value >> 1) ^ -(value & 1)  # zigzag

    def _varint(self) -> int:
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                return value
        raise ValueError("an integer has no end")

    def _bytes(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self._data):
            raise ValueError("it is cut short")
        value = self._data[self.position : end]
        self.position = end
        return value

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte
