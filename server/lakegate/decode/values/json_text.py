"""One line to the fields of its row, exactly: slow, and right for every line.

Values stay text as they were sent. `json` of the standard library finds where they
end; what it takes beyond RFC 8259 is refused here.
"""

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]  # in C; typeshed leaves it out
from typing import NoReturn

MAX_DEPTH = 512  # how deep values may nest, in arrays and objects

_BRACKETS_OR_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?|([\[{])|([\]}])')
_SPACE = frozenset(" \t\r\n")
_SPACE_OUTSIDE_STRINGS = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_HALF_PAIR = re.compile(
    r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)|\\."
)  # in group 1; whole pairs and other escapes are passed over


class LineError(ValueError):
    """What is wrong with a line, in the decoder's words."""


def parse_line(line: str | None) -> list[tuple[str, str]]:
    """Return the fields of a JSON object in their order: name and JSON text.

    Raises `LineError` for anything but one object by RFC 8259. Whitespace between
    the tokens of a value is taken out. None stands for bytes that are no text.
    """
    if line is None:
        raise LineError("Not UTF-8")
    _check_depth(line)
    try:
        fields = _parse_object(line)
    except json.JSONDecodeError as error:
        raise LineError(f"{error.msg} at character {error.pos + 1}") from None
    if _SURROGATE.search(line):
        _check_surrogates(line)
    return fields


def parse_value(text: str) -> str:
    """Return a JSON text of any value, without the whitespace between its tokens.

    Raises `LineError` where `parse_line` would for the value of a field.
    """
    fields = parse_line(f'{{"":{text}}}')
    if len(fields) != 1:
        raise LineError("Extra data after the value")
    return fields[0][1]


def _parse_object(line: str) -> list[tuple[str, str]]:
    position = _skip(line, 0)
    if line[position : position + 1] != "{":
        raise LineError("Expected a JSON object")
    fields: list[tuple[str, str]] = []
    position = _skip(line, position + 1)
    more = line[position : position + 1] != "}"
    if not more:
        position = _skip(line, position + 1)
    while more:
        if line[position : position + 1] != '"':
            raise json.JSONDecodeError("Expected a field name in double quotes", line, position)
        name, position = scanstring(line, position + 1, True)
        position = _skip(line, position)
        if line[position : position + 1] != ":":
            raise json.JSONDecodeError("Expected ':'", line, position)
        start = _skip(line, position + 1)
        _, position = _DECODER.raw_decode(line, start)
        fields.append((name, _compact(line[start:position])))
        position = _skip(line, position)
        delimiter = line[position : position + 1]
        if delimiter not in (",", "}"):
            raise json.JSONDecodeError("Expected ',' or '}'", line, position)
        more = delimiter == ","
        position = _skip(line, position + 1)
    if position != len(line):
        raise json.JSONDecodeError("Extra data after the object", line, position)
    return fields


def _skip(line: str, position: int) -> int:
    """Return the position of the next token."""
    while line[position : position + 1] in _SPACE:
        position += 1
    return position


def _compact(value: str) -> str:
    """Take the whitespace between tokens out of a JSON text."""
    if value[0] not in "[{":
        return value
    return _SPACE_OUTSIDE_STRINGS.sub(r"\1", value)


def _check_depth(line: str) -> None:
    """Refuse what nests so deep that a recursive reader, ours or another's, would fail."""
    if line.count("[") + line.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKETS_OR_STRINGS.finditer(line):
        depth += (match[1] is not None) - (match[2] is not None)
        if depth > MAX_DEPTH + 1:  # the row itself is one
            raise LineError(f"Nested deeper than {MAX_DEPTH} levels")


def _check_surrogates(line: str) -> None:
    """Refuse half a surrogate pair: it stands for no character, so no text can hold it."""
    for match in _HALF_PAIR.finditer(line):
        if match[1]:
            raise LineError(f"{match[1]} at character {match.start() + 1} is half a surrogate pair")


def _refuse_constant(name: str) -> NoReturn:
    raise LineError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
