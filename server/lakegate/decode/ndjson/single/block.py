"""Rows that were read one by one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from lakegate.decode.ndjson.blocks import Appearance, Evolution, Resolved
from lakegate.decode.router import Route, Router, Target
from lakegate.decode.standard_columns import AT
from lakegate.decode.values.json_column import JsonColumn, write_string


class _Extra(NamedTuple):
    """A field that goes to no column of the table: which of row `at` of its block.

    `slot`: the column it may become.
    `settled`: it belongs to `props` whatever the caller said of evolution, for
    the column that it names has its value from another field of the row.
    """

    at: int
    position: int
    name: str
    value: str
    slot: str | None
    settled: bool


_EXTRAS = pa.schema(
    [
        ("at", pa.int64()),
        ("position", pa.int64()),
        ("name", pa.string()),
        ("value", pa.string()),
        ("slot", pa.string()),
        ("settled", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class SingleBlock:
    """Rows that were read one by one; Arrow holds what there may be millions of."""

    rows: pa.Array
    known: Mapping[str, JsonColumn]
    extras: pa.Table

    def appearances(self, _: Evolution) -> Iterator[Appearance]:
        """Return every field that may become a column."""
        rows = self.rows.to_pylist()
        for extra in self._extras():
            if extra.slot is not None:
                yield Appearance(rows[extra.at], extra.position, extra.slot)

    def resolve(self, evolution: Evolution) -> Resolved:
        """Return what goes to new columns and what to `props`."""
        columns: dict[str, _Sparse] = {}
        overflow: dict[int, list[str]] = {}
        rows = self.rows.to_pylist()
        names: set[tuple[int, str]] = set()
        count = 0
        keeps_unknown = evolution.keeps_unknown(self.rows).to_pylist()
        for extra in self._extras():
            first_row = None if extra.slot is None else evolution.first_row(extra.slot)
            if extra.slot is not None and first_row is not None and first_row <= rows[extra.at]:
                columns.setdefault(extra.slot, _Sparse()).put(extra.at, extra.value)
            elif keeps_unknown[extra.at] or extra.settled:
                written = f"{write_string(extra.name)}:{extra.value}"
                overflow.setdefault(extra.at, []).append(written)
                names.add((extra.at, extra.name))
                count += 1
        members = [",".join(overflow[i]) if i in overflow else None for i in range(len(rows))]
        return Resolved(
            {slot: column.field(len(rows)) for slot, column in columns.items()},
            pa.array(members, pa.string()),
            repeats=len(names) < count,
        )

    def _extras(self) -> Iterator[_Extra]:
        columns = [column.to_pylist() for column in self.extras.columns]
        return map(_Extra._make, zip(*columns, strict=True))


class SingleRows:
    """Gathers the rows of an `SingleBlock`."""

    def __init__(self, router: Router) -> None:
        """Start without rows."""
        self._router = router
        self._rows: list[int] = []
        self._columns: dict[str, _Sparse] = {}
        self._extras: list[_Extra] = []

    def add(self, row: int, fields: Sequence[tuple[str, str]]) -> None:
        """Add a row: its fields in their order, names and JSON texts."""
        routes = self._router.routes([name for name, _ in fields])
        source = self._source_of_at(routes, fields)
        index = len(self._rows)
        for position, ((target, slot), (name, value)) in enumerate(
            zip(routes, fields, strict=True)
        ):
            if slot is not None and target is Target.COLUMN:
                self._put(slot, index, value)
            elif position == source:
                self._put(AT, index, value)
            elif target is not Target.AT or value != "null":
                settled = target in (Target.AT, Target.PROPS)
                becomes = slot if target is Target.NEW else None
                self._extras.append(_Extra(index, position, name, value, becomes, settled))
        self._rows.append(row)

    def block(self) -> SingleBlock:
        """Return the rows gathered."""
        count = len(self._rows)
        columns = zip(*self._extras, strict=True) if self._extras else [[]] * len(_EXTRAS)
        arrays = [
            pa.array(column, field.type) for column, field in zip(columns, _EXTRAS, strict=True)
        ]
        return SingleBlock(
            rows=pa.array(self._rows, pa.int64()),
            known={slot: column.field(count) for slot, column in self._columns.items()},
            extras=pa.table(arrays, schema=_EXTRAS),
        )

    def _source_of_at(
        self, routes: Sequence[Route], fields: Sequence[tuple[str, str]]
    ) -> int | None:
        """Return the position of the field that `at` is taken from; null counts as absent."""
        sources = self._router.at_sources
        candidates = [
            (sources.index(slot), position)
            for position, (target, slot) in enumerate(routes)
            if target is Target.AT and slot is not None and fields[position][1] != "null"
        ]
        return min(candidates)[1] if candidates else None

    def _put(self, slot: str, index: int, value: str) -> None:
        column = self._columns.get(slot)
        if column is None:
            column = self._columns[slot] = _Sparse()
        column.put(index, value)


class _Sparse:
    """A column that is filled from left to right; what is left out is null."""

    def __init__(self) -> None:
        self._values: list[str | None] = []

    def put(self, index: int, value: str) -> None:
        missing = index - len(self._values)
        if missing:
            self._values.extend([None] * missing)
        self._values.append(value)

    def field(self, length: int) -> JsonColumn:
        values = self._values + [None] * (length - len(self._values))
        return JsonColumn(pa.array(values, pa.string()))
