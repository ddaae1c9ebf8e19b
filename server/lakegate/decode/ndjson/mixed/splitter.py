r"""Lines of any mix of templates to their fields, by regular expressions, each line proven or left.

The proof that a line is an object by RFC 8259 has three parts:

- DuckDB's `json_valid` knows the grammar. It takes a comma before a bracket, and numbers
  that are not finite.
- `_TOKENS` knows the tokens, and not those. It requires a value after a comma. It knows nothing
  of how tokens follow one another otherwise.
- `_OBJECT` knows how brackets pair, as deep as `DEPTH`. So it is known that an object or
  array that `_FIELD` finds ends where it ends in the line.

Then names and values, as sent, alternate in what `_FIELD` finds between the outer braces.
Any other line is read by itself. No value is read and written again: digits, escapes and
repeated names need no care here.
"""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.ndjson.engine import Engine, literal
from lakegate.decode.ndjson.mixed.fields import FieldTable
from lakegate.decode.values.json_column import unquote

DEPTH = 32  # what nests deeper is read one by one

_SPACE = r"[ \t\r\n]"
_BLANK_OBJECT = rf"^{_SPACE}*\{{{_SPACE}*\}}{_SPACE}*$"

_HALVES = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # of a surrogate pair
_UNIT = r"\\u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})"
_STRING = rf'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|{_UNIT}|{_HALVES})*"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_SCALAR = rf"(?:{_STRING}|{_NUMBER}|true|false|null)"
_TOKENS = rf"(?:[\[\]{{}}:]|{_SPACE}|{_SCALAR}|,{_SPACE}*(?:{_SCALAR}|[\[{{]))*"

# From here on for lines whose tokens are known to be right.
_ANY_STRING = r'"(?:[^"\\]|\\.)*"'
_ANY_SCALAR = rf"{_ANY_STRING}|[^\"\[\]{{}}:,\s]+"


def _nested(depth: int) -> str:
    pattern = rf'[\[{{](?:[^"\[\]{{}}]|{_ANY_STRING})*[\]}}]'
    for _ in range(depth - 1):
        pattern = rf'[\[{{](?:[^"\[\]{{}}]|{_ANY_STRING}|{pattern})*[\]}}]'
    return pattern


_FIELD = rf"{_ANY_SCALAR}|{_nested(DEPTH)}"
_MEMBER = rf"{_SPACE}*{_ANY_STRING}{_SPACE}*:{_SPACE}*(?:{_FIELD}){_SPACE}*"
_OBJECT = rf"{_SPACE}*\{{{_MEMBER}(?:,{_MEMBER})*\}}{_SPACE}*"

_QUERY = f"""
    SELECT proven, CASE WHEN proven
        THEN regexp_extract_all(trim(line, ' \t\r\n')[2:-2], {literal(_FIELD)}) END AS fields
    FROM (
        SELECT line, coalesce(json_valid(line)
            AND regexp_full_match(line, {literal(_TOKENS)})
            AND regexp_full_match(line, {literal(_OBJECT)}), false) AS proven
        FROM lines
    )
"""  # noqa: S608  # all our own words

_COUNT = "SELECT CASE WHEN json_valid(line) THEN len(json_keys(line)) END FROM lines"


class Split(NamedTuple):
    """The fields of the lines for which `proven` is true; those are the rows of `field_table`."""

    field_table: FieldTable
    proven: pa.Array


class Splitter:
    """DuckDB's regular expressions over lines. Any number of threads may use one."""

    def __init__(self, engine: Engine) -> None:
        """Read with `engine`."""
        self._engine = engine

    def split(self, lines: pa.Array) -> Split:
        """Read the fields of lines. Objects without any are left."""
        proven, fields = self._engine.run(_QUERY, lines)
        fields = fields.filter(proven)
        texts = fields.flatten()
        names, values = (texts.take(pa.arange(start, len(texts), 2)) for start in (0, 1))
        raw = names.dictionary_encode()
        field_table = FieldTable(
            row=pc.list_parent_indices(fields).take(pa.arange(0, len(texts), 2)).cast(pa.int32()),
            name=pa.DictionaryArray.from_arrays(raw.indices, unquote(raw.dictionary)),
            value=_without_spaces(values),
        )
        return Split(field_table, proven)

    def count(self, lines: pa.Array) -> pa.Array:
        """Count the fields of lines; null for a line that is no JSON."""
        (counts,) = self._engine.run(_COUNT, lines)
        return counts


def is_blank(lines: pa.Array) -> pa.Array:
    """Return which lines are objects without fields."""
    return pc.fill_null(pc.match_substring_regex(lines, _BLANK_OBJECT), fill_value=False)


def _without_spaces(values: pa.Array) -> pa.Array:
    """Take the whitespace between tokens out of JSON texts that are right."""
    spaced = pc.match_substring_regex(values, rf"^[\[{{].*{_SPACE}")
    if not pc.any(spaced).as_py():
        return values
    compact = pc.replace_substring_regex(
        values.filter(spaced), rf"({_ANY_STRING})|{_SPACE}+", r"\1"
    )
    return pc.replace_with_mask(values, spaced, compact)
