"""Where the fields of rows belong: in which column of the table, or in none."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.limits import check_cells
from lakegate.decode.ndjson.mixed.fields import FieldTable, scatter
from lakegate.decode.router import Router
from lakegate.decode.standard_columns import AT
from lakegate.decode.values.json_column import JsonColumn


class Extras(NamedTuple):
    """Fields that go to no column of the table.

    `slot`: the column that each may become, as an index of `slots`; null if none.
    `settled`: whether it belongs to `props` whatever the caller said of evolution, for
    the column that it names has its value from another field of the row.
    """

    field_table: FieldTable
    slot: pa.Array
    slots: pa.Array
    settled: pa.Array


class Placement(NamedTuple):
    """The columns of the table that occur, and the other fields."""

    known: dict[str, JsonColumn]
    extras: Extras


def place(field_table: FieldTable, router: Router, rows: int) -> Placement:
    """Place the fields of so many rows. The first field of a row that names a column has it.

    Raises `TooLargeError`.
    """
    distinct = router.slots(field_table.name.dictionary).dictionary_encode()
    slots, slot = distinct.dictionary, distinct.indices.take(field_table.name.indices)
    at, is_source, is_late = _take_at(field_table, slot, _codes(router.at_sources, slots), rows)
    slot = pc.if_else(is_source, pa.scalar(None, slot.type), slot)
    is_known = _of_distinct(pc.is_in(slots, value_set=router.known), slot)
    is_repeat = _repeats(slot, field_table.row)
    is_placed = pc.and_not(is_known, is_repeat)
    known = to_columns(field_table.filter(is_placed), slot.filter(is_placed), slots, rows)
    is_extra = pc.or_(pc.and_not(pc.invert(is_source), is_placed), is_late)
    may_become = pc.invert(pc.or_(is_known, is_repeat))
    extras = Extras(
        field_table=field_table.filter(is_extra),
        slot=pc.if_else(may_become, slot, pa.scalar(None, slot.type)).filter(is_extra),
        slots=slots,
        settled=pc.or_(is_late, pc.and_(is_known, is_repeat)).filter(is_extra),
    )
    return Placement(known if at is None else known | {AT: at}, extras)


def to_columns(
    field_table: FieldTable, slot: pa.Array, slots: pa.Array, rows: int
) -> dict[str, JsonColumn]:
    """Make a column of the fields of each slot, which no row has twice."""
    if not len(field_table):
        return {}
    order = pc.array_sort_indices(slot)  # stable: the rows of each still ascend
    row, value = field_table.row.take(order), field_table.value.take(order)
    runs = pc.run_end_encode(slot.take(order))
    check_cells(rows, len(runs.values))
    columns, start = {}, 0
    for name, end in zip(
        slots.take(runs.values).to_pylist(), runs.run_ends.to_pylist(), strict=True
    ):
        part = slice(start, end)
        columns[name] = JsonColumn(scatter(value[part], row[part], rows))
        start = end
    return columns


def changes(*columns: pa.Array) -> pa.Array:
    """Return where any of some columns has another value than the one before; true at the start."""
    if not len(columns[0]):
        return pa.array([], pa.bool_())
    changed = pa.repeat(pa.scalar(value=False), len(columns[0]) - 1)
    for column in columns:
        changed = pc.or_(changed, pc.not_equal(column[1:], column[:-1]))
    return pa.concat_arrays([pa.array([True]), changed])


def _take_at(
    field_table: FieldTable, slot: pa.Array, sources: Sequence[int], rows: int
) -> tuple[JsonColumn | None, pa.Array, pa.Array]:
    """Take `at` from the first source that a row has; null counts as absent.

    Returns also which fields are sources, and which of them came too late.
    """
    nowhere = pa.repeat(pa.scalar(value=False), len(field_table))
    if not sources:
        return None, nowhere, nowhere
    present = pc.not_equal(field_table.value, "null")
    chosen = pa.nulls(rows, pa.uint64())
    for source in sources:
        found = pc.indices_nonzero(pc.and_(pc.equal(slot, source), present))
        if len(found):
            row = field_table.row.take(found)
            first = changes(row)
            chosen = pc.coalesce(chosen, scatter(found.filter(first), row.filter(first), rows))
    is_source = pc.is_in(slot, value_set=pa.array(sources, slot.type))
    is_chosen = pc.equal(
        chosen.take(field_table.row), pa.arange(0, len(field_table)).cast(pa.uint64())
    )
    is_chosen = pc.fill_null(is_chosen, fill_value=False)
    at = JsonColumn(field_table.value.take(chosen)) if chosen.null_count < rows else None
    return at, is_source, pc.and_not(pc.and_(is_source, present), is_chosen)


def _codes(names: Sequence[str], slots: pa.Array) -> list[int]:
    """Return the indices of those of `names` that are in `slots`."""
    found = pc.index_in(pa.array(names, pa.string()), value_set=slots)
    return [code for code in found.to_pylist() if code is not None]


def _of_distinct(verdicts: pa.Array, slot: pa.Array) -> pa.Array:
    """Return for each field the verdict on its slot; false where it has none."""
    return pc.fill_null(verdicts.take(slot), fill_value=False)


def _repeats(slot: pa.Array, row: pa.Array) -> pa.Array:
    """Return which fields have the same slot as one before them in their row."""
    order = pc.array_sort_indices(slot)[: len(slot) - slot.null_count]
    first = changes(slot.take(order), row.take(order))
    repeats = order.filter(pc.invert(first)).cast(pa.int64())
    return pc.inverse_permutation(repeats, max_index=len(slot) - 1).is_valid()
