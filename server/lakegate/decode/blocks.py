"""Rows that were read in one way: which fields they have, and where each belongs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import pyarrow as pa

from lakegate.decode.fields import Field
from lakegate.decode.members import quote
from lakegate.decode.names import Names
from lakegate.decode.types import AT


class Appearance(NamedTuple):
    """Where a name that is no column yet occurs: sorts as the rows and fields lie."""

    row: int
    position: int
    slot: str


class Evolution(Protocol):
    """What became of the names that were no columns."""

    def first_row(self, slot: str) -> int | None:
        """Give the row from which on a slot is a new column; None if it becomes none."""
        ...

    def keeps_unknown(self, rows: pa.Array) -> pa.Array:
        """Tell for rows whether fields without a column go to `props`, or are dropped."""
        ...


class Resolved(NamedTuple):
    """The new columns of rows, and the members of `props` that have no column.

    `members` are texts like `"a":1,"b":2`, null for a row without any.
    """

    columns: Mapping[str, Field]
    members: pa.Array


class Block(Protocol):
    """Some rows of a group."""

    @property
    def rows(self) -> pa.Array:
        """The rows of the group that are in this block, ascending (int64)."""
        ...

    @property
    def known(self) -> Mapping[str, Field]:
        """The fields that go to columns of the table."""
        ...

    def appearances(self) -> Iterator[Appearance]:
        """Give the names that may become columns; the first of each body at least."""
        ...

    def resolve(self, evolution: Evolution) -> Resolved:
        """Give what goes to new columns and what to `props`."""
        ...


class _Extra(NamedTuple):
    """A field that goes to no column of the table. `slot`: the column it may become.

    `settled`: it belongs to `props` whatever the caller said of evolution, for
    the column that it names has its value from another field of the row.
    """

    position: int
    name: str
    value: str
    slot: str | None
    settled: bool


class ExactBlock:
    """Rows that were read one by one."""

    def __init__(self, names: Names) -> None:
        """Start without rows."""
        self._names = names
        self._rows: list[int] = []
        self._columns: dict[str, _Sparse] = {}
        self._extras: list[list[_Extra]] = []

    def add(self, row: int, fields: Sequence[tuple[str, str]]) -> None:
        """Add a row: its fields in their order, names and JSON texts."""
        names = self._names
        slots = [names.slot(name) for name, _ in fields]
        source = self._source_of_at(slots, fields)
        index = len(self._rows)
        taken: set[str] = set()
        extras: list[_Extra] = []
        for position, (slot, (name, value)) in enumerate(zip(slots, fields, strict=True)):
            if slot in names.at_sources:
                if position == source:
                    self._column(AT).put(index, value)
                elif value != "null":
                    extras.append(_Extra(position, name, value, None, settled=True))
            elif slot is None or slot in taken:
                settled = slot is not None and names.is_known(slot)
                extras.append(_Extra(position, name, value, None, settled))
            else:
                taken.add(slot)
                if names.is_known(slot):
                    self._column(slot).put(index, value)
                else:
                    extras.append(_Extra(position, name, value, slot, settled=False))
        self._rows.append(row)
        self._extras.append(extras)

    @property
    def rows(self) -> pa.Array:
        """The rows of the group that are in this block."""
        return pa.array(self._rows, pa.int64())

    @property
    def known(self) -> Mapping[str, Field]:
        """The fields that go to columns of the table."""
        return {slot: self._field(column) for slot, column in self._columns.items()}

    def appearances(self) -> Iterator[Appearance]:
        """Give every field that may become a column."""
        for row, extras in zip(self._rows, self._extras, strict=True):
            for extra in extras:
                if extra.slot is not None:
                    yield Appearance(row, extra.position, extra.slot)

    def resolve(self, evolution: Evolution) -> Resolved:
        """Give what goes to new columns and what to `props`."""
        columns: dict[str, _Sparse] = {}
        members = _Sparse()
        keeps_unknown = evolution.keeps_unknown(self.rows).to_pylist()
        for index, (row, keep, extras) in enumerate(
            zip(self._rows, keeps_unknown, self._extras, strict=True)
        ):
            overflow = []
            for extra in extras:
                first_row = None if extra.slot is None else evolution.first_row(extra.slot)
                if extra.slot is not None and first_row is not None and first_row <= row:
                    columns.setdefault(extra.slot, _Sparse()).put(index, extra.value)
                elif keep or extra.settled:
                    overflow.append(f"{quote(extra.name)}:{extra.value}")
            if overflow:
                members.put(index, ",".join(overflow))
        return Resolved(
            {slot: self._field(column) for slot, column in columns.items()},
            self._field(members).values,
        )

    def _source_of_at(
        self, slots: Sequence[str | None], fields: Sequence[tuple[str, str]]
    ) -> int | None:
        """Give the position of the field that `at` is taken from; null counts as absent."""
        for source in self._names.at_sources:
            for position, slot in enumerate(slots):
                if slot == source and fields[position][1] != "null":
                    return position
        return None

    def _column(self, slot: str) -> "_Sparse":
        return self._columns.setdefault(slot, _Sparse())

    def _field(self, column: "_Sparse") -> Field:
        return Field(pa.array(column.padded(len(self._rows)), pa.string()))


class _Sparse:
    """A list that is filled from left to right; what is left out is None."""

    def __init__(self) -> None:
        self._values: list[str | None] = []

    def put(self, index: int, value: str) -> None:
        self._values.extend([None] * (index - len(self._values)))
        self._values.append(value)

    def padded(self, length: int) -> list[str | None]:
        return self._values + [None] * (length - len(self._values))
