"""Lines are split into their fields, or left: never read otherwise than they say."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.testing.decode.generated_values import ALL_VALUES, NAMES, WRONG

from lakegate.decode.ndjson.engine import Engine
from lakegate.decode.ndjson.mixed.splitter import Splitter
from lakegate.decode.values.json_text import LineError, parse_line

SPLITTER = Splitter(Engine())
LINES = 50  # of an example: a call of the engine takes a while

Fields = list[tuple[str, str]]


def split(lines: list[str | None]) -> list[Fields | None]:
    """Return the fields of each line; None for a line that is left."""
    entries, proven = SPLITTER.split(pa.array(lines, pa.large_string()))
    rows: list[Fields] = [[] for _ in range(proven.true_count)]
    for row, name, value in zip(
        entries.row.to_pylist(), entries.name.to_pylist(), entries.value.to_pylist(), strict=True
    ):
        rows[row].append((name, value))
    found = iter(rows)
    return [next(found) if verdict else None for verdict in proven.to_pylist()]


def exact(line: str | None) -> Fields | None:
    try:
        return parse_line(line)
    except LineError:
        return None


PIECES = [
    *"{}[],:\"\\ \t\x00\x1f\x7f\u00a0\ufeff01-+.eE'",
    *('"a"', '"\\""', '"é"', '"a":', ',"b":', '"]"', '"{"', "{}", "[]"),
    *("\\u00e9", "\\ud83d", "\\ude00", "1.5", "-0", "01", "1.", "0x1", "/**/", "//"),
    *("null", "true", "nan", "Infinity"),
]
tokens = st.sampled_from(PIECES)
spaces = st.sampled_from(["", "", "", " ", "\t", "  ", "\r"])
values = st.one_of(st.sampled_from(ALL_VALUES), st.sampled_from(WRONG))
names = st.one_of(st.sampled_from(NAMES), st.text(max_size=3))


@st.composite
def objects(draw: st.DrawFn) -> str:
    """Objects that are mostly right, spaced in any way."""
    members = [
        f"{draw(spaces)}{_quote(draw(names))}{draw(spaces)}:{draw(spaces)}{draw(values)}{draw(spaces)}"
        for _ in range(draw(st.integers(1, 4)))
    ]
    return f"{draw(spaces)}{{{','.join(members)}}}{draw(spaces)}"


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


soup = st.lists(tokens, max_size=12).map(lambda parts: "{" + "".join(parts) + "}")
damaged = st.tuples(objects(), st.integers(0, 80), tokens).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
)
encodable = st.one_of(objects(), soup, damaged).filter(
    lambda line: "\n" not in line and not any("\ud800" <= c <= "\udfff" for c in line)
)


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(encodable, min_size=LINES, max_size=LINES))
def test_lines_say_what_they_say_one_by_one(lines: list[str]) -> None:
    for line, fields in zip(lines, split([*lines]), strict=True):
        if fields is not None or (line.count("[") + line.count("{") <= 32 and exact(line)):
            assert fields == exact(line), line
