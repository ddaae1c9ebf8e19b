"""Tables of a flatbuffer that nothing has verified (flatbuffers.dev, "FlatBuffers Internals").

Every read is checked to lie within the buffer. Parts may be shared: a few bytes could describe
millions of fields. So texts, tables and vectors are charged each time they are read, to an
allowance that no honest buffer uses up.
"""

import struct
from collections.abc import Iterator
from typing import Self

# Writers share at most the texts of a few names.
_READS_PER_BYTE = 4


class Flatbuffer:
    """The bytes of one flatbuffer, and how many more may be read of them."""

    def __init__(self, data: memoryview) -> None:
        """Read `data`."""
        self._data = data
        self._allowance = _READS_PER_BYTE * len(data)

    def root(self) -> "FlatTable":
        """Return the table that the buffer starts with."""
        return FlatTable(self, self.read("<I", 0))

    def read(self, format_: str, position: int) -> int:
        """Return a number. Raises `ValueError` where it lies outside of the buffer."""
        (value,) = struct.unpack(format_, self.slice(position, struct.calcsize(format_)))
        return int(value)

    def slice(self, start: int, size: int) -> memoryview:
        """Return some bytes. Raises `ValueError` where they lie outside of the buffer."""
        if not 0 <= start <= len(self._data) - size:
            raise ValueError("a part of a message lies outside of it")
        return self._data[start : start + size]

    def charge(self, size: int) -> None:
        """Subtract `size` bytes from the allowance. Raises `ValueError` where it is used up."""
        self._allowance -= size
        if self._allowance < 0:
            raise ValueError("a message repeats its parts too often")


class FlatTable:
    """A table of a flatbuffer; fields are known by their index in the schema of the table."""

    def __init__(self, buffer: Flatbuffer, position: int) -> None:
        """Read the table at `position`."""
        buffer.charge(8)
        self._buffer = buffer
        self._position = position

    def number(self, index: int, format_: str, default: int = 0) -> int:
        """Return a number; `default` where it is left out."""
        position = self._field(index)
        return default if position is None else self._buffer.read(format_, position)

    def table(self, index: int) -> Self | None:
        """Return a table; None where it is left out."""
        position = self._field(index)
        return None if position is None else self._table_at(position)

    def tables(self, index: int) -> Iterator[Self]:
        """Return the tables of a vector."""
        start, count = self._vector(index, 4)
        for i in range(count):
            yield self._table_at(start + 4 * i)

    def longs(self, index: int, width: int) -> memoryview:
        """Return the numbers of a vector of structs that are `width` numbers of 64 bits each."""
        start, count = self._vector(index, 8 * width)
        return self._buffer.slice(start, 8 * width * count).cast("q")

    def charge_text(self, index: int) -> int:
        """Charge the length of a text to the allowance, and return it."""
        _, length = self._vector(index, 1)
        return length

    def _field(self, index: int) -> int | None:
        read = self._buffer.read
        vtable = self._position - read("<i", self._position)
        slot = 4 + 2 * index
        if slot >= read("<H", vtable):
            return None
        offset = read("<H", vtable + slot)
        return self._position + offset if offset else None

    def _table_at(self, position: int) -> Self:
        return type(self)(self._buffer, position + self._buffer.read("<I", position))

    def _vector(self, index: int, width: int) -> tuple[int, int]:
        """Return where the items of a vector start, and how many there are."""
        position = self._field(index)
        if position is None:
            return 0, 0
        start = position + self._buffer.read("<I", position)
        count = self._buffer.read("<I", start)
        self._buffer.charge(4 + width * count)
        return start + 4, count
