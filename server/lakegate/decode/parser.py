"""Many lines of one shape to columns, by DuckDB, each line proven or left."""

import itertools
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.exact import MAX_DEPTH
from lakegate.decode.fields import Field
from lakegate.decode.shapes import Kind, Member, Shape, Style

# Of a string or a number, for the `{}` that is the name before it.
_RAW = {
    Kind.RAW_STRING: r'"{}"\s*:\s*("(?:[^"\\]|\\.)*")',
    Kind.RAW_NUMBER: r'"{}"\s*:\s*(-?[0-9][-+.0-9eE]*)',
}

# Without its spaces, such a name could pass for that of a member that has no value.
_SPACE_IN_NAME = r'"[^"\\]* [^"\\]*"\s*:'

# What DuckDB passes for numbers and RFC 8259 does not. Inside of strings it may
# stand too; such a line is read again, no more.
_NOT_FINITE = r"(?i)(^|[:\[,])-?(nan|inf)"

_VECTOR = 2048  # the rows that a thread of DuckDB takes at a time
_PIECES_PER_THREAD = 2  # so that threads end at about the same time


class Parsed(NamedTuple):
    """The values of lines, a column for each member of the shape.

    `proven` tells which lines were read right; of the others the values mean nothing.
    """

    columns: Sequence[Field]
    proven: pa.Array


class Parser:
    """DuckDB's JSON functions over Arrow columns. Any number of threads may use one."""

    def __init__(self) -> None:
        """Start an engine in memory."""
        self._engine = duckdb.connect()
        (self._threads,) = self._engine.execute("SELECT current_setting('threads')").fetchone() or (
            1,
        )

    def parse(self, lines: pa.Array, shape: Shape) -> Parsed:
        """Read lines as a shape has them."""
        with self._engine.cursor() as cursor:
            cursor.register("lines", self._batches(lines))
            try:
                table = cursor.execute(_query(shape, "{}")).to_arrow_table()
            except (duckdb.Error, UnicodeDecodeError):
                # A line is no JSON. (DuckDB's message may cut it within a character.)
                table = cursor.execute(_query(shape, "TRY({})")).to_arrow_table()
        proven, *values = [_single(column) for column in table.columns]
        raw = iter(values[len(shape.members) :])
        columns = [
            Field(
                column,
                texts=member.kind not in (Kind.ANY, Kind.RAW_NUMBER),
                raw=next(raw) if member.kind is Kind.RAW_STRING else None,
            )
            for column, member in zip(values, shape.members, strict=False)
        ]
        for column in columns:
            if not column.texts:
                proven = _and_not(proven, _not_finite(column.values), _deep(column.values))
        return Parsed(columns, pc.fill_null(proven, fill_value=False))

    def _batches(self, lines: pa.Array) -> pa.Table:
        """Cut a column into pieces that the threads can share."""
        size = max(_VECTOR, -(-len(lines) // (_PIECES_PER_THREAD * self._threads)))
        return pa.Table.from_batches(pa.table({"line": lines}).to_batches(max_chunksize=size))


def _single(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _query(shape: Shape, guard: str) -> str:
    """Write the query that reads lines, and writes each of them again to prove it.

    It gives the proof, the members, and after them the texts of those that are `RAW_STRING`.
    """
    types = {
        member.name: "JSON" if member.kind is Kind.ANY else "VARCHAR" for member in shape.members
    }
    row = guard.format(f"json_transform(line, {_literal(json.dumps(types))})")
    values = [f"struct_extract_at(row, {i + 1})" for i in range(len(shape.members))]
    members = list(zip(shape.members, values, strict=True))
    columns = [
        _raw(member, value) if member.kind is Kind.RAW_NUMBER else f"{value}::VARCHAR"
        for member, value in members
    ]
    columns += [_raw(member, value) for member, value in members if member.kind is Kind.RAW_STRING]
    # Every text that comes from a request is a literal, quoted by `_literal`.
    outputs = ", ".join(
        f"{output} AS c{i}" for i, output in enumerate([_proof(shape, values), *columns])
    )
    return f"SELECT {outputs} FROM (SELECT line, {row} AS row FROM lines)"  # noqa: S608  # as said


def _proof(shape: Shape, values: Sequence[str]) -> str:
    """Give the SQL that tells whether a line was read right."""
    commas = itertools.chain(["{"], itertools.repeat(shape.style.comma))
    written = [
        _written(member, value, comma, shape.style)
        for member, value, comma in zip(shape.members, values, commas, strict=False)
    ]
    rewritten, line = f"concat({', '.join(written)}, '}}')", "line"
    conditions = ["row IS NOT NULL"]  # or else the line is no JSON
    if shape.style.loose:
        rewritten, line = f"replace({rewritten}, ' ', '')", "replace(line, ' ', '')"
        if any(member.null for member in shape.members):
            conditions.append(f"NOT regexp_matches(line, {_literal(_SPACE_IN_NAME)})")
    return " AND ".join([*conditions, f"{rewritten} = {line}"])


def _written(member: Member, value: str, before: str, style: Style) -> str:
    """Give the arguments of `concat`, which passes over NULL, that write a member."""
    name = f"{before}{json.dumps(member.name)}{style.colon}"
    quote = '"' if member.kind is Kind.PLAIN else ""
    text = value
    if member.kind is Kind.ESCAPED:
        text = f"to_json({value})"
    elif member.kind in _RAW:
        text = _raw(member, value)
    parts = [_literal(name + quote), text, _literal(quote)]
    if member.always and not style.loose:
        return ", ".join(parts)  # without a value this is nothing that a line could be
    written = " || ".join(parts)
    return f"coalesce({written}, {_literal(name + 'null')})" if member.null else written


def _raw(member: Member, value: str) -> str:
    """Give the SQL that looks in the line for the text of a value that it has."""
    pattern = _RAW[member.kind].format(re.escape(member.name))
    text = f"regexp_extract(line, {_literal(pattern)}, 1)"
    return f"CASE WHEN {value} IS NOT NULL THEN {text} END"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _not_finite(values: pa.Array) -> pa.Array | None:
    """Tell which JSON texts may have a number that is not finite; None: none does."""
    if pc.all(pc.ascii_is_decimal(values)).as_py():
        return None
    if not any(pc.any(pc.match_substring(values, letter)).as_py() for letter in "nN"):
        return None
    return pc.match_substring_regex(values, _NOT_FINITE)


def _deep(values: pa.Array) -> pa.Array | None:
    """Tell which JSON texts may nest deeper than is allowed; None: none does."""
    if (pc.max(pc.binary_length(values)).as_py() or 0) <= 2 * MAX_DEPTH:
        return None
    brackets = pc.add(pc.count_substring(values, "["), pc.count_substring(values, "{"))
    return pc.greater(brackets, MAX_DEPTH)


def _and_not(proven: pa.Array, *doubts: pa.Array | None) -> pa.Array:
    for doubt in doubts:
        if doubt is not None:
            proven = pc.and_not(proven, pc.fill_null(doubt, fill_value=False))
    return proven
