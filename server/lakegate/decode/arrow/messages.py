"""The messages of an Arrow IPC stream ("Encapsulated message format"), before Arrow reads them.

Arrow copies the names and the metadata of a message as soon as it opens it, and takes the end of
the bytes for the end of the stream: here only the marker is ("IPC Streaming Format").
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from lakegate.decode.arrow.flatbuffer import Flatbuffer, FlatTable

_CONTINUATION = 0xFFFFFFFF  # before the size of a message; Arrow before 0.15 leaves it out
_MAX_MESSAGES = 100_000

# Names, indices and values are those of Message.fbs.
SCHEMA, DICTIONARY_BATCH, RECORD_BATCH = 1, 2, 3
_HEADER_TYPE, _HEADER, _BODY_LENGTH, _CUSTOM_METADATA = 1, 2, 3, 4
_KEY, _VALUE = 0, 1


class Message(NamedTuple):
    """A message: what `header` is, and the bytes that follow it."""

    type: int
    header: FlatTable
    body: memoryview


def messages(data: bytes) -> Iterator[Message]:
    """Yield the messages of a stream. Raises `ValueError` where it does not end with them."""
    view, position = memoryview(data), 0
    for _ in range(_MAX_MESSAGES):
        size, start = _size(data, position)
        if size == 0:
            if start != len(data):
                raise ValueError("there are bytes after the end of the stream")
            return
        message = _message(view, start, size)
        yield message
        position = start + size + len(message.body)
    raise ValueError(f"it has more than {_MAX_MESSAGES} messages")


def charge_metadata(table: FlatTable, index: int) -> None:
    """Charge keys and values, which Arrow copies, to the allowance of their message."""
    for entry in table.tables(index):
        entry.charge_text(_KEY)
        entry.charge_text(_VALUE)


def _size(data: bytes, position: int) -> tuple[int, int]:
    """Return the size of the message at a position, and where it starts; 0 ends the stream."""
    try:
        (size,) = struct.unpack_from("<I", data, position)
        if size != _CONTINUATION:
            return size, position + 4
        (size,) = struct.unpack_from("<I", data, position + 4)
    except struct.error:
        raise ValueError("it is cut short: the end-of-stream marker is missing") from None
    return size, position + 8


def _message(view: memoryview, start: int, size: int) -> Message:
    if size > len(view) - start:
        raise ValueError("it is cut short: a message lies outside of it")
    root = Flatbuffer(view[start : start + size]).root()
    header = root.table(_HEADER)
    if header is None:
        raise ValueError("a message lacks its header")
    charge_metadata(root, _CUSTOM_METADATA)
    length, body = root.number(_BODY_LENGTH, "<q"), start + size
    if not 0 <= length <= len(view) - body:
        raise ValueError("it is cut short: the body of a message lies outside of it")
    return Message(root.number(_HEADER_TYPE, "<B"), header, view[body : body + length])
