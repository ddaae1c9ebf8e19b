"""Rows of any mix of templates."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.ndjson.blocks import Appearance, Evolution, Resolved
from lakegate.decode.ndjson.lines import Lines
from lakegate.decode.ndjson.mixed.fields import FieldTable, scatter
from lakegate.decode.ndjson.mixed.placement import place, to_columns
from lakegate.decode.router import Router, changes
from lakegate.decode.values.json_column import JsonColumn, quote


class MixedBlock:
    """Rows whose fields are one flat table; `field_table` counts them from 0."""

    def __init__(
        self, rows: pa.Array, field_table: FieldTable, router: Router, lines: Lines
    ) -> None:
        """Take rows of a group.

        Raises `TooLargeError`.
        """
        self.rows = rows
        self._lines = lines
        self._known, self._extras = place(field_table, router, len(rows))

    @property
    def known(self) -> Mapping[str, JsonColumn]:
        """The fields that go to columns of the table."""
        return self._known

    def appearances(self, evolution: Evolution) -> Iterator[Appearance]:
        """Return the names that may become columns; the first of each body that evolves."""
        extras = self._extras
        if extras.slot.null_count == len(extras.slot):
            return
        evolves = evolution.keeps_unknown(self.rows).take(extras.field_table.row)
        position = pc.indices_nonzero(pc.and_(extras.slot.is_valid(), evolves))
        position = position.take(pc.array_sort_indices(extras.slot.take(position)))
        is_first = changes(extras.slot.take(position), self._bodies(position))
        position = position.filter(is_first)
        position = position.take(pc.array_sort_indices(position))
        # A body brings a name only if all its names before are columns by then.
        bodies = self._bodies(position)
        number = pc.subtract(pa.arange(0, len(position)), pc.search_sorted(bodies, bodies))
        position = position.filter(pc.less(number, evolution.room))
        rows = self.rows.take(extras.field_table.row.take(position))
        slots = extras.slots.take(extras.slot.take(position))
        yield from map(Appearance, rows.to_pylist(), position.to_pylist(), slots.to_pylist())

    def resolve(self, evolution: Evolution) -> Resolved:
        """Return what goes to new columns and what to `props`."""
        field_table, slot, slots, settled = self._extras
        if not len(field_table):
            return Resolved({}, pa.nulls(len(self.rows), pa.string()))
        new = pa.array(evolution.columns, pa.string())
        first_rows = pa.array([evolution.first_row(name) for name in evolution.columns], pa.int64())
        column = pc.index_in(slots, value_set=new).take(slot)
        becomes = pc.greater_equal(self.rows.take(field_table.row), first_rows.take(column))
        becomes = pc.fill_null(becomes, fill_value=False)
        columns = to_columns(
            field_table.filter(becomes), column.filter(becomes), new, len(self.rows)
        )
        keeps = evolution.keeps_unknown(self.rows).take(field_table.row)
        overflow = field_table.filter(pc.and_not(pc.or_(keeps, settled), becomes))
        return Resolved(columns, _members(overflow, len(self.rows)), overflow.repeats())

    def _bodies(self, position: pa.Array) -> pa.Array:
        """Return for extras the bodies that they are of."""
        rows = self.rows.take(self._extras.field_table.row.take(position))
        return pc.search_sorted(pa.array(self._lines.starts, pa.int64()), rows, side="right")


def _members(field_table: FieldTable, rows: int) -> pa.Array:
    """Write the fields of each row as members of an object; null for a row without any."""
    names = quote(field_table.name.dictionary).take(field_table.name.indices)
    written = pc.binary_join_element_wise(names, field_table.value, ":")
    runs = pc.run_end_encode(field_table.row, run_end_type=pa.int32())
    ends = pa.concat_arrays([pa.array([0], pa.int32()), runs.run_ends])
    joined = pc.binary_join(pa.ListArray.from_arrays(ends, written), ",")
    return scatter(joined, runs.values, rows)
