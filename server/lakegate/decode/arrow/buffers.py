"""The header of a batch: its arrays, and the buffers that they are in."""

import struct
from functools import cached_property

import pyarrow as pa

from lakegate.decode.arrow.flatbuffer import FlatTable
from lakegate.decode.arrow.messages import Message

_NOT_COMPRESSED = -1  # in place of the size of a buffer; Message.fbs, BodyCompression
_SIZE_BYTES = 8
_CODECS = {0: "lz4", 1: "zstd"}
_SMALL_BYTES = 256 * 1024  # decompressed before anything is charged for it

# Indices are those of Message.fbs.
_DICTIONARY_DATA = 1
_LENGTH, _NODES, _BUFFERS, _COMPRESSION, _VARIADIC_COUNTS = 0, 1, 2, 3, 4


class Batch:
    """A record batch, or the one within a dictionary batch."""

    def __init__(self, header: FlatTable, body: memoryview) -> None:
        """Read a header. Raises `ValueError` where buffers lie outside of `body`."""
        self._body = body
        self._compression = header.table(_COMPRESSION)
        self._nodes = header.longs(_NODES, 2)
        self._buffers = header.longs(_BUFFERS, 2)
        self.rows = header.number(_LENGTH, "<q")
        self.variadic_counts = header.longs(_VARIADIC_COUNTS, 1)
        self.arrays = len(self._nodes) // 2
        if self.arrays and min(self.lengths) < 0:
            raise ValueError("an array has a negative number of values")
        self.values = sum(self.lengths)
        self.sizes = self._sizes()
        self.size = max(sum(self.sizes), 0 if self._compression else len(body))

    @classmethod
    def of_dictionary(cls, message: Message) -> "Batch":
        """Return the values that a dictionary batch brings."""
        header = message.header.table(_DICTIONARY_DATA)
        if header is None:
            raise ValueError("a message lacks its header")
        return cls(header, message.body)

    @cached_property
    def lengths(self) -> memoryview:
        """The number of values of each array."""
        return self._nodes[::2]

    def content(self, index: int) -> pa.Buffer | None:
        """Return the bytes of a buffer; None where they would take memory to decompress."""
        size = self.sizes[index]
        data = self._body[self._buffers[2 * index] :][: self._buffers[2 * index + 1]]
        if self._compression is None or not size:
            return pa.py_buffer(data)
        if _claimed(data) == _NOT_COMPRESSED:
            return pa.py_buffer(data[_SIZE_BYTES:])
        codec = _CODECS.get(self._compression.number(0, "<b"))
        if size > _SMALL_BYTES or codec is None:
            return None
        return pa.Codec(codec).decompress(pa.py_buffer(data[_SIZE_BYTES:]), size)

    def _sizes(self) -> list[int]:
        """Return the uncompressed size of each buffer."""
        offsets, lengths = self._buffers[::2], self._buffers[1::2]
        for offset, length in zip(offsets, lengths, strict=True):
            if length < 0 or (length and not 0 <= offset <= len(self._body) - length):
                raise ValueError("a buffer lies outside of its message")
        if self._compression is None:
            return list(lengths)
        return [
            _uncompressed_size(self._body[offset : offset + length])
            for offset, length in zip(offsets, lengths, strict=True)
        ]


def _claimed(data: memoryview) -> int:
    try:
        (size,) = struct.unpack_from("<q", data)
    except struct.error:
        raise ValueError("a compressed buffer lacks its size") from None
    return int(size)


def _uncompressed_size(data: memoryview) -> int:
    if not data:
        return 0
    size = _claimed(data)
    if size == _NOT_COMPRESSED:
        return len(data) - _SIZE_BYTES
    if size < 0:
        raise ValueError(f"a compressed buffer claims {size} bytes")
    return size
