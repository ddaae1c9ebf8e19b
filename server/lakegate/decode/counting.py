"""Counting the bytes of bodies."""

import pyarrow as pa
import pyarrow.compute as pc

_LITTLE_BYTES = 64 * 1024  # counted in less time than threads take turns


def count(data: bytes, character: bytes) -> int:
    """Return how often a character occurs; much data is counted without the GIL."""
    if len(data) < _LITTLE_BYTES:
        return data.count(character)
    values = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
    found: int = pc.equal(values, pa.scalar(character[0], pa.uint8())).true_count
    return found
