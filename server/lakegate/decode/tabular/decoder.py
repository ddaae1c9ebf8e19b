"""Tables to the rows of one table: a group of bodies, column by column."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import is_dynamic, is_text
from lakegate.decode import standard_columns as types
from lakegate.decode.limits import check_cells, check_written
from lakegate.decode.router import Route, Router, Target
from lakegate.decode.tabular.keys import check_keys, twice
from lakegate.decode.text import shorten
from lakegate.decode.values import json_members as members
from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.model import Body, DecodedGroup, TooLargeError

_MIB = 1024 * 1024


class Source(Protocol):
    """The table that one body is, and how its values become those of columns."""

    @property
    def table(self) -> pa.Table:
        """The rows."""
        ...

    def normalize(self, array: pa.Array) -> pa.Array:
        """Return the values in a type that Iceberg has."""
        ...

    def fit(self, array: pa.Array, column: pa.Field) -> pa.Array:
        """Return normalized values in the type of a column."""
        ...

    def to_json(self, array: pa.Array) -> pa.Array:
        """Return normalized values as JSON texts."""
        ...


class TabularDecoder(ABC):
    """Decodes bodies each of which is a table, column by column."""

    default_schema = types.DEFAULT_SCHEMA

    def __init__(
        self,
        *,
        max_new_columns: int = 32,
        max_table_columns: int = 1000,
        max_body_bytes: int = 64 * _MIB,
    ) -> None:
        """Limit the columns that a body adds, and those that a table has.

        `max_body_bytes`: how much a body may take once it is uncompressed.
        """
        self._max_new_columns = max_new_columns
        self._max_table_columns = max_table_columns
        self._max_body_bytes = max_body_bytes

    @abstractmethod
    def open(self, data: bytes) -> Source:
        """Return the table that a body is.

        Raises `LakegateError`: `bad_request_body`, or `body_too_large`.
        """

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Decode a group of bodies; each finds the columns that those before it brought.

        Refuses a body with `bad_request_body` that is not of the format, or has a
        column that the table's cannot hold without loss. Raises `TooLargeError` where
        each of the bodies may do, but the group takes too much.
        """
        target = schema
        decoded: list[_Rows] = []
        outcomes: list[int | LakegateError] = []
        for body in bodies:
            try:
                rows = self._decode(body, target, room=self._max_table_columns - len(target))
            except TooLargeError as error:
                outcomes.append(error.refusal())
                continue
            except LakegateError as error:
                outcomes.append(error)
                continue
            for column in rows.new:
                target = target.append(column)
            decoded.append(rows)
            outcomes.append(rows.count)
        try:
            return DecodedGroup(rows=_concatenate(decoded, target), outcomes=outcomes)
        except TooLargeError as error:
            if len(bodies) > 1:
                raise
            return DecodedGroup(schema.empty_table(), [error.refusal()])

    def _decode(self, body: Body, target: pa.Schema, room: int) -> "_Rows":
        source = self.open(body.data)
        table = source.table
        if not table.num_rows:
            return _Rows(0)
        check_cells(table.num_rows, table.num_columns)
        fields = _Fields(target, source, evolves=body.schema_evolve)
        present = [
            (name, column)
            for name, column in zip(table.schema.names, table.columns, strict=True)
            if not pa.types.is_null(column.type)
        ]
        routes = fields.router.routes([name for name, _ in present])
        for (name, column), route in zip(present, routes, strict=True):
            fields.add(name, route, column)
        rows = fields.known(table.num_rows)
        fields.evolve(rows, min(room, self._max_new_columns))
        fields.overflow(rows)
        return rows


@dataclass
class _Rows:
    """The rows of one body: columns of the table in its types, and new ones."""

    count: int
    columns: dict[str, pa.Array] = dataclass_field(default_factory=dict)
    new: list[pa.Field] = dataclass_field(default_factory=list)


class _Fields:
    """The columns of one body, each where it belongs."""

    def __init__(self, target: pa.Schema, source: Source, *, evolves: bool) -> None:
        self._source = source
        self._target = target
        self._evolves = evolves
        self.router = Router(target)
        self._known: dict[str, pa.Array] = {}
        self._sources: dict[str, tuple[str, pa.Array]] = {}
        self._unknown: dict[str, tuple[str, pa.Array]] = {}
        self._settled: list[tuple[str, pa.Array]] = []  # go to `props`
        self._unnamed: list[tuple[str, pa.Array]] = []

    def add(self, name: str, route: Route, column: pa.ChunkedArray) -> None:
        """Sort in a column, unless the table lacks it and may not evolve."""
        target, slot = route
        if not self._evolves and target in (Target.NEW, Target.UNNAMED):
            return
        with _naming(name):
            chunks = [self._source.normalize(chunk) for chunk in column.chunks]
            values = pa.concat_arrays(chunks)
        if slot is None or target is Target.UNNAMED:
            self._unnamed.append((name, values))
        elif target is Target.AT and slot not in self._sources:
            self._sources[slot] = (name, values)
        elif target is Target.COLUMN:
            self._known[slot] = values
        elif target is Target.NEW:
            self._unknown[slot] = (name, values)
        else:
            self._settled.append((name, values))

    def known(self, count: int) -> _Rows:
        """Return the columns that the table has, in its types."""
        rows = _Rows(count)
        self._take_at(rows)
        for slot, values in self._known.items():
            if slot in self._target.names:
                with _naming(slot):
                    rows.columns[slot] = self._source.fit(values, self._target.field(slot))
        return rows

    def evolve(self, rows: _Rows, room: int) -> None:
        """Make new columns of their own type, as many as there is room for."""
        for slot in list(self._unknown)[: max(room, 0)]:
            _, values = self._unknown.pop(slot)
            column = pa.field(slot, values.type)
            with _naming(slot):
                rows.columns[slot] = self._source.fit(values, column)
            rows.new.append(column)

    def overflow(self, rows: _Rows) -> None:
        """Add the fields without a column to `props`."""
        fields = [*self._settled, *self._unknown.values(), *self._unnamed]
        joined = members.join(self._written(fields), rows.count)
        index = self._target.get_field_index(types.PROPS)
        own = self._known.get(types.PROPS)
        if index >= 0:
            column = self._target.field(index)
            if joined.null_count == len(joined):
                return
        else:
            column = types.dynamic_field(types.PROPS)
            if not self._evolves or (own is None and joined.null_count == len(joined)):
                return
            rows.new.append(column)
        merged = self._merge(own, joined, column)
        check_keys(merged, twice(fields, rows.count) if own is None else merged.is_valid())
        rows.columns[types.PROPS] = merged

    def _take_at(self, rows: _Rows) -> None:
        """Take `at` from the first source that a row has; the others go to `props`."""
        at = None
        for slot in self.router.at_sources:
            if slot not in self._sources:
                continue
            name, values = self._sources[slot]
            if at is not None:
                taken = at.is_valid()
                self._settled.append((name, _where(taken, values)))
                values = _where(pc.invert(taken), values)
            with _naming(name):
                moments = self._source.fit(values, self._target.field(types.AT).with_name(name))
            at = moments if at is None else pc.coalesce(at, moments)
        if at is not None:
            rows.columns[types.AT] = at

    def _merge(self, own: pa.Array | None, joined: pa.Array, column: pa.Field) -> pa.Array:
        """Return `props`: what rows have there themselves, and members beside it."""
        if not is_text(column.type):
            raise LakegateError(
                ErrorCode.BAD_REQUEST_BODY,
                f'column "{column.name}" is no JSON and cannot take columns that the table lacks',
            )
        if own is None:
            return members.merge(pa.nulls(len(joined), pa.string()), joined).cast(column.type)
        with _naming(column.name):
            merged = members.merge(self._source.fit(own, types.dynamic_field(column.name)), joined)
            if not is_dynamic(column):
                merged = pc.if_else(joined.is_valid(), merged, self._source.fit(own, column))
        return merged.cast(column.type)

    def _written(self, fields: Sequence[tuple[str, pa.Array]]) -> list[pa.Array]:
        """Return fields as members of JSON objects."""
        written, size = [], 0
        for name, values in fields:
            texts = self._to_json(name, values)
            size += members.written_size(name, texts)
            check_written(size)
            written.append(members.write(name, texts))
        return written

    def _to_json(self, name: str, values: pa.Array) -> pa.Array:
        with _naming(name):
            return self._source.to_json(values)


def _where(mask: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(mask, values, pa.scalar(None, values.type))


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Name the column that an error is about."""
    try:
        yield
    except (pa.ArrowException, ValueError, OverflowError) as error:
        shown = f'column "{shorten(name)}"'
        raise LakegateError(
            ErrorCode.BAD_REQUEST_BODY,
            f"{shown}: {error}",
            violations=(Violation(shown, str(error)),),
        ) from None


def _concatenate(decoded: Sequence[_Rows], target: pa.Schema) -> pa.Table:
    """Concatenate the rows of bodies; columns that a body lacks are null."""
    occurring = {name for rows in decoded for name in rows.columns}
    fields = [field for field in target if field.name in occurring]
    if not fields:  # rows without any field still are rows
        fields = list(target)[:1]
    check_cells(sum(rows.count for rows in decoded), len(fields))
    columns = [
        pa.chunked_array(
            [
                rows.columns.get(field.name, pa.nulls(rows.count, field.type))
                for rows in decoded
                if rows.count
            ],
            field.type,
        )
        for field in fields
    ]
    return pa.table(columns, schema=pa.schema(fields))
