"""NDJSON to Arrow: a group of bodies for one table, in one columnar pass."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from lakegate.decode import standard_columns as types
from lakegate.decode.limits import check_cells
from lakegate.decode.ndjson import props
from lakegate.decode.ndjson.evolution import Evolution
from lakegate.decode.ndjson.lines import split_lines
from lakegate.decode.ndjson.reader import Reader
from lakegate.decode.ndjson.refusals import Refusals
from lakegate.decode.ndjson.rows import Rows
from lakegate.decode.router import Router
from lakegate.decode.text import count
from lakegate.model import Body, DecodedGroup, MemoryEstimate, TooLargeError

# What a field takes that has no column, and an item of an array, in cells: an item may be a
# Python object for a while.
_CELLS_OF_FIELD = 2
_CELLS_OF_ITEM = 6
_EVOLUTIONS = 16  # of one group: each but the last refuses a body


class NdjsonDecoder:
    """Decodes bodies of one JSON object (RFC 8259) a line."""

    media_types = (
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "text/plain",
        "application/octet-stream",
        "application/x-www-form-urlencoded",  # what curl sends when it is not told
    )
    field = "ndjson"
    default_schema = types.DEFAULT_SCHEMA

    def __init__(
        self,
        *,
        max_new_columns: int = 32,
        max_table_columns: int = 1000,
        max_body_bytes: int = 0,
        reader: Reader | None = None,
    ) -> None:
        """Limit the columns that a body adds, and those that a table has."""
        del max_body_bytes  # a line takes no more than was sent
        self._reader = reader or Reader()
        self._max_new_columns = max_new_columns
        self._max_table_columns = max_table_columns

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Count lines, fields and items: a row takes a cell, and one for each of the columns."""
        rows = sum(count(body.data, b"\n") + 1 for body in bodies)
        fields = sum(count(body.data, b":") for body in bodies)
        # Commas separate items only where there is an array.
        items = sum(count(body.data, b",") for body in bodies if b"[" in body.data)
        size = sum(len(body.data) for body in bodies)
        cells = rows * (columns + 1) + _CELLS_OF_FIELD * fields + _CELLS_OF_ITEM * items
        return MemoryEstimate(size, cells)

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Decode a group of bodies.

        Refuses a body with `bad_request_body` where a line is no JSON object, or
        has a value that the column of a table cannot hold; with `body_too_large` where
        it has too many lines, or rows that spread over too many columns. Raises
        `TooLargeError` where only the group does: each of its bodies may do alone.
        """
        try:
            return self._decode(bodies, schema)
        except TooLargeError as error:
            if len(bodies) > 1:
                raise
            return DecodedGroup(_table(schema, {}, 0), [error.refusal()])

    def _decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        lines = split_lines([body.data for body in bodies])
        refusals = Refusals(lines)
        router = Router(schema)
        rows = Rows(self._reader.read(lines, router, refusals), router)
        check_cells(len(rows), len(rows.occurring))
        columns = rows.convert(schema, refusals)
        for _ in range(_EVOLUTIONS):
            evolution = self._evolve(bodies, schema, refusals, rows)
            check_cells(len(rows), len(columns) + len(evolution.columns))
            brought, members = rows.resolve(evolution)
            if props.refuse_members(schema, rows, members, refusals):
                continue
            new = brought | props.column(schema, rows, members, evolution)
            texts = new.get(types.PROPS, columns.get(types.PROPS))
            if texts is None or not props.refuse_repeats(
                self._reader.engine, rows, texts, members, refusals
            ):
                break
        else:
            raise TooLargeError("Too many bodies have keys twice")
        columns |= new
        table = _table(schema, columns, len(rows))
        keep = lines.by_body([i not in refusals for i in range(len(bodies))]) if refusals else None
        return DecodedGroup(
            rows=rows.sort(table, keep),
            outcomes=[
                refusals.error(i) if i in refusals else lines.rows_of(i) for i in range(len(bodies))
            ],
        )

    def _evolve(
        self, bodies: Sequence[Body], schema: pa.Schema, refusals: Refusals, rows: Rows
    ) -> Evolution:
        evolution = Evolution(
            lines=refusals.lines,
            evolves=[body.schema_evolve and i not in refusals for i, body in enumerate(bodies)],
            max_new_columns=self._max_new_columns,
            room=self._max_table_columns - len(schema),
        )
        evolution.add(rows.appearances(evolution))
        return evolution


def _table(schema: pa.Schema, columns: Mapping[str, pa.Array], length: int) -> pa.Table:
    """Lay out columns: the schema's in its order, then the new ones."""
    new = [types.new_field(name) for name in columns if name not in schema.names]
    fields = [field for field in schema if field.name in columns] + new
    if not fields:  # rows without any field still are rows
        fields = [*schema, types.dynamic_field(types.PROPS)][:1]
        columns = {fields[0].name: pa.nulls(length, fields[0].type)}
    return pa.table([columns[field.name] for field in fields], schema=pa.schema(fields))
