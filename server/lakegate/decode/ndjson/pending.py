"""Rows that are still to be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.ndjson.lines import Lines


@dataclass(frozen=True, slots=True)
class PendingRows:
    """Some rows of a group, and the text of their lines."""

    rows: pa.Array
    text: pa.Array

    @classmethod
    def all_of(cls, lines: Lines) -> Self:
        """Return all rows of a group."""
        return cls(pa.arange(0, len(lines)), lines.text)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    @property
    def size(self) -> int:
        """How many bytes the lines have."""
        return pc.sum(pc.binary_length(self.text)).as_py() or 0

    def filter(self, mask: pa.Array) -> Self:
        """Leave the rows out for which `mask` is false."""
        if mask.true_count == len(self):
            return self
        return type(self)(self.rows.filter(mask), self.text.filter(mask))

    def sample(self, count: int, longest: int) -> list[str | None]:
        """Return up to `count` lines from everywhere; None for one of more than `longest` bytes."""
        text = self.text[:: -(-len(self) // count)]
        too_long = pc.greater(pc.binary_length(text), longest)
        lines: list[str | None] = pc.if_else(too_long, pa.scalar(None, text.type), text).to_pylist()
        return lines

    def longer_than(self, size: int) -> pa.Array:
        """Return which lines have more than `size` bytes."""
        return pc.fill_null(pc.greater(pc.binary_length(self.text), size), fill_value=False)

    def by_rows(self, count: int) -> Iterator[Self]:
        """Cut into parts of `count` rows."""
        return self._cut([*range(0, len(self), count), len(self)])

    def by_size(self, size: int) -> Iterator[Self]:
        """Cut into parts of about `size` bytes."""
        sizes = pc.fill_null(pc.binary_length(self.text), 0)
        ends = pc.cumulative_sum(sizes.cast(pa.int64()))
        marks = pa.array(range(0, max(self.size, 1), size), pa.int64())
        return self._cut([*pc.search_sorted(ends, marks).to_pylist(), len(self)])

    def _cut(self, cuts: list[int]) -> Iterator[Self]:
        for start, end in pairwise(cuts):
            if start < end:
                yield type(self)(self.rows[start:end], self.text[start:end])
