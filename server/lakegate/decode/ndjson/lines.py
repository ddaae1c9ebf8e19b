"""Bodies to lines: where each row lies in its body, and which bytes are no UTF-8."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode import limits
from lakegate.decode.text import BYTE_ORDER_MARK, WHITESPACE, count

_PART_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a group of bodies that are not blank; each is to become a row.

    `text` (large_string) has null where a line is no UTF-8. Body `b` owns the rows
    `starts[b]` to `starts[b + 1]`. `positions` says for each row which line of the
    whole group it is; None when no line is blank. `first_lines[b]` is the position
    of the first line of body `b`.
    """

    text: pa.Array
    starts: Sequence[int]
    first_lines: Sequence[int]
    positions: pa.Array | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.text)

    def body_of(self, row: int) -> int:
        """Return the index of the body that a row belongs to."""
        return bisect_right(self.starts, row) - 1

    def number(self, row: int) -> int:
        """Return the line number of a row in its body, from 1, blank lines counted."""
        position = row if self.positions is None else self.positions[row].as_py()
        return int(position) - self.first_lines[self.body_of(row)] + 1

    def rows_of(self, body: int) -> int:
        """Return the number of rows of a body."""
        return self.starts[body + 1] - self.starts[body]

    def by_body(self, values: Sequence[bool]) -> pa.Array:
        """Return for each row the value that `values` has for its body."""
        if all(values):
            return pa.repeat(pa.scalar(True), len(self))
        filled = [body for body in range(len(values)) if self.rows_of(body)]
        ends = pa.array([self.starts[body + 1] for body in filled], pa.int64())
        runs = pa.array([values[body] for body in filled], pa.bool_())
        return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, runs))


def split_lines(bodies: Sequence[bytes]) -> Lines:
    """Split bodies at their line feeds; skip blank lines and a byte order mark at the start.

    Raises `TooLargeError` where there are too many lines.
    """
    trimmed = [_trim(body) for body in bodies]
    parts: list[_Part] = []
    line = rows = 0
    joined = b"\n".join(trimmed)
    is_many = _is_many(joined)
    for data in _cut(joined) if is_many else [joined]:
        lines = _split(data)
        part = _read(lines, data, line)
        parts.append(part)
        line, rows = line + len(lines), rows + len(part.text)
        limits.check_lines(rows)
    if not is_many:
        first_lines = _first_lines(lines, [len(body) for body in trimmed])
    else:
        first_lines = [0, *accumulate(count(body, b"\n") + 1 for body in trimmed)]
    text = _concatenate([part.text for part in parts])
    if rows == line:
        return Lines(text, first_lines, first_lines, None)
    positions = _concatenate([part.positions for part in parts])
    starts = pc.search_sorted(positions, pa.array(first_lines, pa.int64())).to_pylist()
    return Lines(text, starts, first_lines, positions)


def _is_many(data: bytes) -> bool:
    """Return whether there may be more lines than rows may be."""
    return len(data) > limits.MAX_LINES and count(data, b"\n") >= limits.MAX_LINES


def _first_lines(lines: pa.Array, sizes: Sequence[int]) -> list[int]:
    """Return for bodies of `sizes` bytes, joined by line feeds, the line that each starts with.

    At the end comes the number of all lines.
    """
    offsets = pa.Array.from_buffers(pa.int64(), len(lines), [None, lines.buffers()[1]])
    # The split took the line feeds out: one before each line but the first.
    starts = pc.add(offsets, pa.arange(0, len(lines)))
    body_starts = list(accumulate((size + 1 for size in sizes), initial=0))[:-1]
    found = pc.search_sorted(starts, pa.array(body_starts, pa.int64()))
    return [*found.to_pylist(), len(lines)]


class _Part(NamedTuple):
    """Lines that are not blank, and their positions among all lines."""

    text: pa.Array
    positions: pa.Array


def _cut(data: bytes) -> Iterator[bytes]:
    """Cut at line feeds into parts: blank lines take memory until they are left out."""
    start = 0
    while (end := data.find(b"\n", start + _PART_BYTES)) >= 0:
        yield data[start:end]
        start = end + 1
    yield data[start:] if start else data


def _read(lines: pa.Array, data: bytes, first_line: int) -> _Part:
    text = _decode(lines, data)
    if b"\r" in data:
        text = pc.ascii_rtrim(text, WHITESPACE)
    positions = pa.arange(first_line, first_line + len(text))
    # A row starts with `{` but for leading whitespace and errors: look closely at those only.
    if pc.all(pc.starts_with(text, "{")).as_py():
        return _Part(text, positions)
    blank = pc.equal(pc.ascii_trim(text, WHITESPACE), "")
    keep = pc.invert(pc.fill_null(blank, fill_value=False))
    return _Part(text.filter(keep), positions.filter(keep))


def _concatenate(arrays: Sequence[pa.Array]) -> pa.Array:
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def _split(data: bytes) -> pa.Array:
    return pc.split_pattern(_binary(data), "\n").values


def _binary(data: bytes) -> pa.Array:
    """Make an array of one value, without a copy."""
    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])


def _trim(body: bytes) -> bytes:
    """Cut a byte order mark and the last line feed, which would make one more, blank line."""
    return body.removeprefix(BYTE_ORDER_MARK).removesuffix(b"\n")


def _decode(lines: pa.Array, joined: bytes) -> pa.Array:
    """Make text of lines; null where they are no UTF-8."""
    if joined.isascii():
        return lines.view(pa.large_string())
    try:
        return lines.cast(pa.large_string())  # checks
    except pa.ArrowInvalid:
        nothing = pa.scalar(None, lines.type)
        return pc.if_else(_is_no_text(joined), nothing, lines).cast(pa.large_string())


def _is_no_text(joined: bytes) -> pa.Array:
    """Return which lines are no UTF-8: bytes that are none become half surrogates, as no others."""
    marked = joined.decode(errors="surrogateescape").encode(errors="surrogatepass")
    return pc.match_substring_regex(_split(marked), r"\xed[\xa0-\xbf]")
