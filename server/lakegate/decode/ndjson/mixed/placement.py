"""Where the fields of rows belong: in which column of the table, or in none."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.limits import check_cells
from lakegate.decode.ndjson.mixed.fields import FieldTable, scatter
from lakegate.decode.router import FieldRoutes, Router, changes
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
    routes = router.routes_of(field_table.name, field_table.row)
    at, is_late = _take_at(field_table, routes, rows)
    placed = routes.is_column
    known = to_columns(field_table.filter(placed), routes.slot.filter(placed), routes.slots, rows)
    is_extra = pc.or_(pc.invert(pc.or_(routes.is_source, placed)), is_late)
    extras = Extras(
        field_table=field_table.filter(is_extra),
        slot=pc.if_else(routes.is_new, routes.slot, None).filter(is_extra),
        slots=routes.slots,
        settled=pc.or_(is_late, routes.is_settled).filter(is_extra),
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


def _take_at(
    field_table: FieldTable, routes: FieldRoutes, rows: int
) -> tuple[JsonColumn | None, pa.Array]:
    """Take `at` from the first source that a row has; null counts as absent.

    Returns also which sources come too late: their row has taken `at` from another.
    """
    present = pc.and_(routes.is_source, pc.not_equal(field_table.value, "null"))
    if not present.true_count:
        return None, present
    chosen = pa.nulls(rows, pa.uint64())
    for source in routes.at_sources:
        found = pc.indices_nonzero(pc.and_(pc.equal(routes.slot, source), present))
        if len(found):
            row = field_table.row.take(found)
            first = changes(row)
            chosen = pc.coalesce(chosen, scatter(found.filter(first), row.filter(first), rows))
    is_chosen = pc.equal(
        chosen.take(field_table.row), pa.arange(0, len(field_table)).cast(pa.uint64())
    )
    is_late = pc.and_not(present, pc.fill_null(is_chosen, fill_value=False))
    return JsonColumn(field_table.value.take(chosen)), is_late
