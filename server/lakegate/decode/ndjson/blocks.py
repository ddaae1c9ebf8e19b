"""Rows that were read in one way: which fields they have, and where each belongs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import pyarrow as pa

from lakegate.decode.values.json_column import JsonColumn


class Appearance(NamedTuple):
    """Where a name that is no column yet occurs: sorts as the rows and fields lie."""

    row: int
    position: int
    slot: str


class Evolution(Protocol):
    """What becomes of the names that are no columns."""

    @property
    def room(self) -> int:
        """How many columns the table may still take."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The names that become columns, as far as that is known."""
        ...

    def first_row(self, slot: str) -> int | None:
        """Return the row from which on a slot is a new column; None if it becomes none."""
        ...

    def keeps_unknown(self, rows: pa.Array) -> pa.Array:
        """Return for rows whether fields without a column go to `props`, or are dropped."""
        ...


class Resolved(NamedTuple):
    """The new columns of rows, and the members of `props` that have no column.

    `members` are texts like `"a":1,"b":2`, null for a row without any. `repeats`: whether
    a row has a name twice among them.
    """

    columns: Mapping[str, JsonColumn]
    members: pa.Array
    repeats: bool = False


class Block(Protocol):
    """Some rows of a group."""

    @property
    def rows(self) -> pa.Array:
        """The rows of the group that are in this block, ascending (int64)."""
        ...

    @property
    def known(self) -> Mapping[str, JsonColumn]:
        """The fields that go to columns of the table."""
        ...

    def appearances(self, evolution: Evolution) -> Iterator[Appearance]:
        """Return the names that may become columns; the first of each body that evolves at least.

        Of these no more are needed than the table has room for.
        """
        ...

    def resolve(self, evolution: Evolution) -> Resolved:
        """Return what goes to new columns and what to `props`."""
        ...
