"""Arrow IPC streams from the wire: whole, and nothing is allocated that they do not hold.

Arrow reads uncompressed buffers in place and checks that they lie within the stream.
Two claims it takes on trust, so they are checked here first: how large a compressed
buffer becomes, and how many rows a column without buffers has. And it takes the end of the
bytes for the end of the stream: here only the marker is ("IPC Streaming Format").
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import pyarrow as pa
import pyarrow.ipc

from lakegate.decode.tabular.decoder import TabularDecoder
from lakegate.decode.tabular.source import ArrowSource
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, MemoryEstimate

_NOT_A_STREAM = (pa.ArrowException, OSError, struct.error, EOFError, ValueError)
_NOT_COMPRESSED = -1  # in place of the size of a buffer; Message.fbs, BodyCompression
# Ends a stream; the second one is that of Arrow before 0.15.
_END_MARKERS = (b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\0")
_ROWS_PER_BYTE = 8  # a column of booleans without nulls

# Where fields stand in the tables of Arrow's Message.fbs.
_MESSAGE_HEADER = 2
_DICTIONARY_BATCH_DATA = 1
_BATCH_LENGTH, _BATCH_BUFFERS, _BATCH_COMPRESSION = 0, 2, 3


class ArrowDecoder(TabularDecoder):
    """Decodes bodies that are Arrow IPC streams (Arrow columnar format, "IPC Streaming Format")."""

    media_types = ("application/vnd.apache.arrow.stream",)
    field = "arrow_ipc"

    def open(self, data: bytes) -> ArrowSource:
        """Read a stream."""
        return ArrowSource(read_stream(data, self._max_body_bytes), self._max_body_bytes)

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Return what the headers of the batches claim; a body that has none is refused soon."""
        size = rows = 0
        for body in bodies:
            with suppress(*_NOT_A_STREAM):
                for batch in _batches(body.data):
                    size += batch.size
                    rows += batch.rows
        return MemoryEstimate(size, rows * columns)


def read_stream(data: bytes, max_bytes: int) -> pa.Table:
    """Read a stream whose buffers take at most `max_bytes` together.

    Raises `LakegateError`: `body_too_large` beyond that, and `bad_request_body` for
    bytes that are no Arrow IPC stream.
    """
    try:
        _check_claims(data, max_bytes)
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except _NOT_A_STREAM as error:
        raise LakegateError(
            ErrorCode.BAD_REQUEST_BODY, f"The body is no Arrow IPC stream: {error}"
        ) from None
    return table


def _check_claims(data: bytes, max_bytes: int) -> None:
    total = 0
    for batch in _batches(data):
        total += batch.size
        if total > max_bytes:
            raise LakegateError(
                ErrorCode.BODY_TOO_LARGE, f"The body takes more than {max_bytes} bytes uncompressed"
            )
        if not 0 <= batch.rows <= _ROWS_PER_BYTE * batch.size:
            raise ValueError(f"A batch of {batch.size} bytes claims {batch.rows} rows")


class _Batch(NamedTuple):
    """What a batch claims: its bytes uncompressed, and its rows."""

    size: int
    rows: int


def _batches(data: bytes) -> Iterator[_Batch]:
    for message in _messages(data):
        if message.type == "schema":
            continue
        body = message.body
        size = 0 if body is None else body.size
        batch = _record_batch(message)
        if batch.field(_BATCH_COMPRESSION) is not None:
            size = sum(_uncompressed_size(body, *buffer) for buffer in batch.buffers())
        yield _Batch(size, batch.length())


def _messages(data: bytes) -> Iterator[pa.ipc.Message]:
    """Yield the messages of a stream. Raises `ValueError` where it does not end with them."""
    source = pa.BufferReader(data)
    reader = pa.ipc.MessageReader.open_stream(source)
    while True:
        position = source.tell()
        try:
            yield reader.read_next_message()
        except StopIteration:
            break
    if position == len(data):
        raise ValueError("it is cut short: the end-of-stream marker is missing")
    if data[position:] not in _END_MARKERS:
        raise ValueError("there are bytes after the end of the stream")


def _uncompressed_size(body: pa.Buffer, offset: int, length: int) -> int:
    if length == 0:
        return 0
    if not 0 <= offset <= body.size - length or length < 0:
        raise ValueError("A buffer lies outside of its message")
    (size,) = struct.unpack_from("<q", body, offset)
    if size == _NOT_COMPRESSED:
        return length
    if size < 0:
        raise ValueError(f"A compressed buffer claims {size} bytes")
    return int(size)


def _record_batch(message: pa.ipc.Message) -> "_FlatTable":
    """Return the header of a record batch, or of the batch within a dictionary batch."""
    metadata = memoryview(message.metadata)
    root = _FlatTable(metadata, struct.unpack_from("<I", metadata)[0])
    header = root.table(_MESSAGE_HEADER)
    return header.table(_DICTIONARY_BATCH_DATA) if message.type == "dictionary" else header


class _FlatTable:
    """A table of a flatbuffer (its internals: flatbuffers.dev, "FlatBuffers Internals").

    Arrow has verified the buffer by the time it gives a message out.
    """

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position

    def field(self, index: int) -> int | None:
        """Return the position of a field; None if it is left out."""
        vtable = self._position - self._read("<i", self._position)
        slot = 4 + 2 * index
        if slot >= self._read("<H", vtable):
            return None
        offset = self._read("<H", vtable + slot)
        return self._position + offset if offset else None

    def table(self, index: int) -> "_FlatTable":
        position = self.field(index)
        if position is None:
            raise ValueError("A message lacks its header")
        return _FlatTable(self._data, position + self._read("<I", position))

    def length(self) -> int:
        position = self.field(_BATCH_LENGTH)
        return 0 if position is None else self._read("<q", position)

    def buffers(self) -> Iterator[tuple[int, int]]:
        """Return offset and length of each buffer."""
        position = self.field(_BATCH_BUFFERS)
        if position is None:
            return
        start = position + self._read("<I", position)
        for index in range(self._read("<I", start)):
            yield struct.unpack_from("<qq", self._data, start + 4 + 16 * index)

    def _read(self, format_: str, position: int) -> int:
        (value,) = struct.unpack_from(format_, self._data, position)
        return int(value)
