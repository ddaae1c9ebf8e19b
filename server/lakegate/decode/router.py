"""Which column a field goes to, and which fields may become columns."""

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.reserved import RESERVED_COLUMNS
from lakegate.decode.standard_columns import AT, PROPS

# How many orders of fields are kept, and how long they may be.
_KEPT_ORDERS = 256
_LONGEST_ORDER = 256

_AT_SOURCES = (AT, "timestamp", "_timestamp")

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_RESERVED_NAMES = pa.array(RESERVED_COLUMNS)

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class Target(Enum):
    """What becomes of a field."""

    COLUMN = "the column of the table that it names"
    AT = "the column `at`, if no better source of it has a value; else `props`"
    NEW = "a new column, if the table may evolve so far; else `props`, if it may evolve"
    PROPS = "`props`, for the column that it names has its value from another field"
    UNNAMED = "`props`, if the table may evolve"


class Route(NamedTuple):
    """Where a field goes. `slot`: the column, or the source of `at`, or the column to be."""

    target: Target
    slot: str | None


class FieldRoutes(NamedTuple):
    """Where the fields of many rows go.

    `slot`: the slot of each field as an index of `slots`; null if it has none.
    `at_sources`: those slots that `at` is taken from, in order of precedence.
    """

    slots: pa.Array
    slot: pa.Array
    at_sources: Sequence[int]
    is_source: pa.Array
    is_column: pa.Array
    is_new: pa.Array
    is_settled: pa.Array


class Router:
    """Decides which column of one table each field goes to.

    A field goes to the column of its very name, or else to the one that differs in
    ASCII case only: `Status` to `status`, and to the `STATUS` of another engine.
    """

    def __init__(self, schema: pa.Schema) -> None:
        """Take the columns of `schema`, and `props`, which is made when it is needed."""
        self._known: dict[str, str] = {}
        for name in (*schema.names, PROPS):
            self._known.setdefault(name.translate(_LOWER), name)
        self._known |= {name: name for name in schema.names}
        self.at_sources = _sources_of_at(schema)
        self._routes: dict[tuple[str, ...], Sequence[Route]] = {}
        self._settled = frozenset(self._known.values()) | frozenset(self.at_sources)
        self._columns = (
            pa.array(self._known.keys(), pa.string()),
            pa.array(self._known.values(), pa.string()),
        )

    def routes(self, fields: Sequence[str]) -> Sequence[Route]:
        """Return where the fields of a row go; of those with one name the first has the column."""
        order = tuple(fields)
        routes = self._routes.get(order)
        if routes is None:
            routes = self._route(order)
            if len(self._routes) < _KEPT_ORDERS and len(order) <= _LONGEST_ORDER:
                self._routes[order] = routes
        return routes

    def _route(self, fields: Sequence[str]) -> Sequence[Route]:
        routes = []
        taken: set[str] = set()
        for field in fields:
            slot = self.slot(field)
            if slot is None:
                target = Target.UNNAMED
            elif slot in self.at_sources:
                target = Target.AT
            elif slot not in taken:
                target = Target.COLUMN if self.is_known(slot) else Target.NEW
                taken.add(slot)
            else:
                target = Target.PROPS if self.is_known(slot) else Target.UNNAMED
            routes.append(Route(target, slot))
        return routes

    def slot(self, field: str) -> str | None:
        """Return the name that a field is kept under, or None if it can be no column.

        That is a column's name, one of `at_sources`, or that of a column to be.
        """
        known = self._known.get(field)
        if known is not None:
            return known
        lowered = field.translate(_LOWER)
        known = self._known.get(lowered)
        if known is not None:
            return known
        usable = _IDENTIFIER.fullmatch(lowered) and lowered not in RESERVED_COLUMNS
        return lowered if usable else None

    def source(self, column: str, fields: Sequence[str]) -> str:
        """Return which of the fields of a row, nulls left out, a column has its value from."""
        names = {self.slot(field): field for field in reversed(fields)}
        sources = self.at_sources if column in self.at_sources else (column,)
        return next((names[slot] for slot in sources if slot in names), column)

    def slots(self, fields: pa.Array) -> pa.Array:
        """Do what `slot` does for a column of texts."""
        lowered = pc.ascii_lower(fields)
        usable = pc.match_substring_regex(lowered, f"^{_IDENTIFIER.pattern}$")
        usable = pc.and_not(usable, pc.is_in(lowered, value_set=_RESERVED_NAMES))
        found, kept = self._columns
        return pc.coalesce(
            kept.take(pc.index_in(fields, value_set=found)),
            kept.take(pc.index_in(lowered, value_set=found)),
            pc.if_else(usable, lowered, pa.scalar(None, fields.type)),
        )

    def routes_of(self, names: pa.DictionaryArray, rows: pa.Array) -> FieldRoutes:
        """Do what `routes` does for the fields of many rows; `rows` ascends."""
        distinct = self.slots(names.dictionary).dictionary_encode()
        slots, slot = distinct.dictionary, distinct.indices.take(names.indices)
        at_sources = _positions(self.at_sources, slots)
        is_source = pc.is_in(slot, value_set=pa.array(at_sources, slot.type))
        is_known = pc.is_in(slots, value_set=pa.array(self._settled, pa.string())).take(slot)
        is_known = pc.and_not(pc.fill_null(is_known, fill_value=False), is_source)
        is_repeat = _repeats(pc.if_else(is_source, None, slot), rows)
        return FieldRoutes(
            slots=slots,
            slot=slot,
            at_sources=at_sources,
            is_source=is_source,
            is_column=pc.and_not(is_known, is_repeat),
            is_new=pc.and_not(slot.is_valid(), pc.or_(pc.or_(is_known, is_source), is_repeat)),
            is_settled=pc.and_(is_known, is_repeat),
        )

    def is_known(self, slot: str) -> bool:
        """Return whether a slot needs no new column."""
        return slot in self._settled


def _sources_of_at(schema: pa.Schema) -> tuple[str, ...]:
    """Return the fields that `at` is taken from, in order of precedence.

    None but `at` itself where it is no timestamp; a column of its own keeps its values.
    """
    index = schema.get_field_index(AT)
    if index < 0 or not pa.types.is_timestamp(schema.field(index).type):
        return ()
    columns = {name.translate(_LOWER) for name in schema.names}
    return tuple(name for name in _AT_SOURCES if name == AT or name not in columns)


def changes(*columns: pa.Array) -> pa.Array:
    """Return where any of some columns has another value than the one before; true at the start."""
    if not len(columns[0]):
        return pa.array([], pa.bool_())
    changed = pa.repeat(pa.scalar(value=False), len(columns[0]) - 1)
    for column in columns:
        changed = pc.or_(changed, pc.not_equal(column[1:], column[:-1]))
    return pa.concat_arrays([pa.array([True]), changed])


def _positions(names: Sequence[str], slots: pa.Array) -> list[int]:
    """Return the indices of those of `names` that are in `slots`."""
    found = pc.index_in(pa.array(names, pa.string()), value_set=slots)
    return [position for position in found.to_pylist() if position is not None]


def _repeats(slot: pa.Array, rows: pa.Array) -> pa.Array:
    """Return which fields have the same slot as one before them in their row."""
    order = pc.array_sort_indices(slot)[: len(slot) - slot.null_count]
    first = changes(slot.take(order), rows.take(order))
    repeats = order.filter(pc.invert(first)).cast(pa.int64())
    return pc.inverse_permutation(repeats, max_index=len(slot) - 1).is_valid()
