"""Many lines of one template to columns, by DuckDB, each line proven or left."""

import itertools
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.ndjson.engine import Engine, literal
from lakegate.decode.ndjson.template.template import Kind, Style, Template, TemplateMember
from lakegate.decode.values.json_column import JsonColumn
from lakegate.decode.values.json_text import MAX_DEPTH

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


class Parsed(NamedTuple):
    """The values of lines, a column for each member of the template.

    `proven` tells which lines were read right; of the others the values mean nothing.
    """

    columns: Sequence[JsonColumn]
    proven: pa.Array


class Parser:
    """DuckDB's JSON functions over lines. Any number of threads may use one."""

    def __init__(self, engine: Engine) -> None:
        """Read with `engine`."""
        self._engine = engine

    def parse(self, lines: pa.Array, template: Template) -> Parsed:
        """Read lines as a template has them."""
        try:
            proven, *values = self._engine.run(_query(template, "{}"), lines)
        except (duckdb.Error, UnicodeDecodeError):  # a line is no JSON
            proven, *values = self._engine.run(_query(template, "TRY({})"), lines)
        raw = iter(values[len(template.members) :])
        columns = [
            JsonColumn(
                column,
                texts=member.kind not in (Kind.ANY, Kind.RAW_NUMBER),
                raw=next(raw) if member.kind is Kind.RAW_STRING else None,
            )
            for column, member in zip(values, template.members, strict=False)
        ]
        for column in columns:
            if not column.texts:
                proven = _and_not(proven, _not_finite(column.values), _deep(column.values))
        return Parsed(columns, pc.fill_null(proven, fill_value=False))


def _query(template: Template, guard: str) -> str:
    """Write the query that reads lines, and writes each of them again to prove it.

    It gives the proof, the members, and after them the texts of those that are `RAW_STRING`.
    """
    types = {
        member.name: "JSON" if member.kind is Kind.ANY else "VARCHAR" for member in template.members
    }
    row = guard.format(f"json_transform(line, {literal(json.dumps(types))})")
    values = [f"struct_extract_at(row, {i + 1})" for i in range(len(template.members))]
    members = list(zip(template.members, values, strict=True))
    columns = [
        _raw(member, value) if member.kind is Kind.RAW_NUMBER else f"{value}::VARCHAR"
        for member, value in members
    ]
    columns += [_raw(member, value) for member, value in members if member.kind is Kind.RAW_STRING]
    # Every text that comes from a request is a literal, quoted by `literal`.
    outputs = ", ".join(
        f"{output} AS c{i}" for i, output in enumerate([_proof(template, values), *columns])
    )
    return f"SELECT {outputs} FROM (SELECT line, {row} AS row FROM lines)"  # noqa: S608  # as said


def _proof(template: Template, values: Sequence[str]) -> str:
    """Return the SQL that tells whether a line was read right."""
    commas = itertools.chain(["{"], itertools.repeat(template.style.comma))
    written = [
        _written(member, value, comma, template.style)
        for member, value, comma in zip(template.members, values, commas, strict=False)
    ]
    rewritten, line = f"concat({', '.join(written)}, '}}')", "line"
    conditions = ["row IS NOT NULL"]  # or else the line is no JSON
    if template.style.loose:
        rewritten, line = f"replace({rewritten}, ' ', '')", "replace(line, ' ', '')"
        if any(member.null for member in template.members):
            conditions.append(f"NOT regexp_matches(line, {literal(_SPACE_IN_NAME)})")
    return " AND ".join([*conditions, f"{rewritten} = {line}"])


def _written(member: TemplateMember, value: str, before: str, style: Style) -> str:
    """Return the arguments of `concat`, which passes over NULL, that write a member."""
    name = f"{before}{json.dumps(member.name)}{style.colon}"
    quote = '"' if member.kind is Kind.PLAIN else ""
    text = value
    if member.kind is Kind.ESCAPED:
        text = f"to_json({value})"
    elif member.kind in _RAW:
        text = _raw(member, value)
    parts = [literal(name + quote), text, literal(quote)]
    if member.always and not style.loose:
        return ", ".join(parts)  # without a value this is nothing that a line could be
    written = " || ".join(parts)
    return f"coalesce({written}, {literal(name + 'null')})" if member.null else written


def _raw(member: TemplateMember, value: str) -> str:
    """Return the SQL that looks in the line for the text of a value that it has."""
    pattern = _RAW[member.kind].format(re.escape(member.name))
    text = f"regexp_extract(line, {literal(pattern)}, 1)"
    return f"CASE WHEN {value} IS NOT NULL THEN {text} END"


def _not_finite(values: pa.Array) -> pa.Array | None:
    """Return which JSON texts may have a number that is not finite; None: none does."""
    if pc.all(pc.ascii_is_decimal(values)).as_py():
        return None
    if not any(pc.any(pc.match_substring(values, letter)).as_py() for letter in "nN"):
        return None
    return pc.match_substring_regex(values, _NOT_FINITE)


def _deep(values: pa.Array) -> pa.Array | None:
    """Return which JSON texts may nest deeper than is allowed; None: none does."""
    if (pc.max(pc.binary_length(values)).as_py() or 0) <= 2 * MAX_DEPTH:
        return None
    brackets = pc.add(pc.count_substring(values, "["), pc.count_substring(values, "{"))
    return pc.greater(brackets, MAX_DEPTH)


def _and_not(proven: pa.Array, *doubts: pa.Array | None) -> pa.Array:
    for doubt in doubts:
        if doubt is not None:
            proven = pc.and_not(proven, pc.fill_null(doubt, fill_value=False))
    return proven
