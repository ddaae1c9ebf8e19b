"""A field of many rows: the values that the rows sent, still JSON."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

_TO_ESCAPE = r'["\\\x00-\x1f]'
_AT_ONCE = 5000  # strings, in less time than threads take turns
_HEXADECIMAL = re.compile(r"\\(?:u00([0-9a-f]{2})|.)")


@dataclass(frozen=True, slots=True)
class JsonColumn:
    """The values of one field, a row each; null where a row has no such field.

    Either JSON texts, or (`texts`) what JSON strings say: the usual case, which then
    needs no more work in a string column. `raw`: those strings as they were sent,
    if that is not as DuckDB would write them.
    """

    values: pa.Array
    texts: bool = False
    raw: pa.Array | None = None

    def json(self) -> pa.Array:
        """Return the values as JSON texts."""
        if self.raw is not None:
            return self.raw
        return quote(self.values) if self.texts else self.values

    def present(self) -> pa.Array:
        """Return the values as JSON texts, null where they are the JSON `null`."""
        return self.json() if self.texts else _without_null(self.values)

    def text(self) -> pa.Array:
        """Return what a string column holds: a string's text, anything else as JSON."""
        return self.values if self.texts else unquote(_without_null(self.values))

    def strings(self) -> pa.Array:
        """Return the texts of JSON strings; null for any other value."""
        if self.texts:
            return self.values
        quoted = pc.starts_with(self.values, '"')
        return unquote(pc.if_else(quoted, self.values, pa.scalar(None, self.values.type)))

    def filter(self, mask: pa.Array) -> Self:
        """Leave the rows out for which `mask` is false."""
        if mask.true_count == len(mask):
            return self
        raw = None if self.raw is None else self.raw.filter(mask)
        return replace(self, values=self.values.filter(mask), raw=raw)

    def where(self, mask: pa.Array) -> Self:
        """Return the values of the rows for which `mask` is true."""
        if pc.all(mask).as_py():
            return self
        raw = None if self.raw is None else _where(mask, self.raw)
        return replace(self, values=_where(mask, self.values), raw=raw)


def concatenate(fields: Sequence[JsonColumn]) -> JsonColumn:
    """Concatenate columns."""
    if len(fields) == 1:
        return fields[0]
    return JsonColumn(pa.concat_arrays([field.json() for field in fields]))


def _where(mask: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(mask, values, pa.scalar(None, values.type))


def quote(texts: pa.Array) -> pa.Array:
    """Return texts as JSON strings, with the escapes that DuckDB writes."""
    escaped = pc.match_substring_regex(texts, _TO_ESCAPE)
    quoted = pc.binary_join_element_wise('"', texts, '"', "")
    if not pc.any(escaped).as_py():
        return quoted
    strings = texts.filter(escaped)
    for character, escape in _ESCAPES.items():
        strings = pc.replace_substring(strings, character, escape)
    strings = pc.binary_join_element_wise('"', strings, '"', "")
    return pc.replace_with_mask(quoted, pc.fill_null(escaped, fill_value=False), strings)


def write_string(text: str) -> str:
    """Write a JSON string as DuckDB does, and the lines that were proven by it: `1F`, not `1f`."""
    string = json.dumps(text, ensure_ascii=False)
    return _HEXADECIMAL.sub(lambda m: m[0] if m[1] is None else f"\\u00{m[1].upper()}", string)


# The backslash first, for the others bring one.
_ESCAPES = {
    character: write_string(character)[1:-1] for character in ("\\", '"', *map(chr, range(0x20)))
}


def unquote(values: pa.Array) -> pa.Array:
    """Return the texts of JSON strings; other JSON texts stay as they are."""
    quoted = pc.starts_with(values, '"')
    if not pc.any(quoted).as_py():
        return values
    # A string's text can only begin or end in a quotation mark if that is escaped.
    plain = pc.ascii_trim(values, '"')
    escaped = pc.and_(quoted, pc.match_substring(values, "\\"))
    if not pc.any(escaped).as_py():
        return plain
    texts = _loads(values.filter(escaped))
    return pc.replace_with_mask(plain, pc.fill_null(escaped, fill_value=False), texts)


def _loads(strings: pa.Array) -> pa.Array:
    """Return the texts of JSON strings, some at a time: one call of `json` holds the GIL."""
    texts = []
    for start in range(0, len(strings), _AT_ONCE):
        part = strings[start : start + _AT_ONCE]
        joined = pc.binary_join(pa.ListArray.from_arrays([0, len(part)], part), ",")
        texts.append(pa.array(json.loads(f"[{joined[0]}]"), strings.type))
    return pa.concat_arrays(texts)


def _without_null(values: pa.Array) -> pa.Array:
    is_null = pc.equal(values, "null")
    if not pc.any(is_null).as_py():
        return values
    return pc.if_else(is_null, pa.scalar(None, values.type), values)
