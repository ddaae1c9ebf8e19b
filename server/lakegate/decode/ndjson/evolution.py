"""Which new columns a group brings, and from which row on they are columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lakegate.decode.ndjson.blocks import Appearance
from lakegate.decode.ndjson.lines import Lines


@dataclass
class Evolution:
    """The new columns of a group; its bodies take effect one after the other.

    A column that one body brings is there for the next. `evolves` says for each
    body whether it may bring any: it is good, and its caller did not forbid it.
    `room`: how many columns the table may still take.
    """

    lines: Lines
    evolves: Sequence[bool]
    max_new_columns: int
    room: int
    first_rows: dict[str, int] = field(default_factory=dict)

    def add(self, appearances: Iterable[Appearance]) -> None:
        """Make columns of names, in the order in which they appear."""
        brought = [0] * len(self.evolves)
        for row, _, slot in sorted(appearances):
            body = self.lines.body_of(row)
            if slot in self.first_rows or not self.evolves[body]:
                continue
            if brought[body] < self.max_new_columns and len(self.first_rows) < self.room:
                brought[body] += 1
                self.first_rows[slot] = self.lines.starts[body]

    @property
    def columns(self) -> list[str]:
        """The names of the new columns, in the order in which they appeared."""
        return list(self.first_rows)

    def first_row(self, slot: str) -> int | None:
        """Return the row from which on a slot is a new column; None if it becomes none."""
        return self.first_rows.get(slot)

    def keeps_unknown(self, rows: pa.Array) -> pa.Array:
        """Return for rows whether fields without a column go to `props`, or are dropped."""
        return self.lines.by_body(self.evolves).take(rows)
