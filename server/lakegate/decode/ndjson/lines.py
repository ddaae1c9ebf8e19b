"""Bodies to lines: where each row lies in its body, and which bytes are no UTF-8."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.limits import check_lines
from lakegate.decode.text import BYTE_ORDER_MARK, WHITESPACE


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
    joined = b"\n".join(trimmed)
    lines = _split(joined) if bodies else _binary(b"").slice(1)
    check_lines(len(lines))
    first_lines = _first_lines(lines, [len(body) for body in trimmed])
    text = _decode(lines, joined)
    if b"\r" in joined:
        text = pc.ascii_rtrim(text, WHITESPACE)
    return _without_blank_lines(text, first_lines)


def _split(data: bytes) -> pa.Array:
    return pc.split_pattern(_binary(data), "\n").values


def _binary(data: bytes) -> pa.Array:
    """Make an array of one value, without a copy."""
    offsets = pa.array([0, len(data)], pa.int64()).buffers()[1]
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])


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


def _without_blank_lines(text: pa.Array, first_lines: list[int]) -> Lines:
    # A row starts with `{` but for leading whitespace and errors: look closely at those only.
    odd = pc.invert(pc.starts_with(text, "{"))
    if pc.any(odd).as_py():
        blank = pc.fill_null(pc.equal(pc.ascii_trim(text, WHITESPACE), ""), fill_value=False)
        if pc.any(blank).as_py():
            keep = pc.invert(blank)
            kept = pc.cumulative_sum(keep.cast(pa.int64()))
            starts = [kept[first - 1].as_py() if first else 0 for first in first_lines]
            return Lines(text.filter(keep), starts, first_lines, pc.indices_nonzero(keep))
    return Lines(text, first_lines, first_lines, None)
