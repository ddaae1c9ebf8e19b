"""What bodies of text have in common."""

import pyarrow as pa
import pyarrow.compute as pc

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHITESPACE = " \t\r\n"  # RFC 8259, section 2
LISTED_LINES = 10  # how many bad lines of a body are named
_SHOWN_CHARACTERS = 100  # how much of a bad value is
_LITTLE_BYTES = 64 * 1024  # counted in less time than threads take turns


def count(data: bytes, character: bytes) -> int:
    """Return how often a character occurs; much data is counted without the GIL."""
    if len(data) < _LITTLE_BYTES:
        return data.count(character)
    values = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
    found: int = pc.equal(values, pa.scalar(character[0], pa.uint8())).true_count
    return found


def shorten(value: str) -> str:
    """Return a value of a bad row, cut for a message."""
    return value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"
