"""Strategies for tables and bodies: rows that share a shape, with everything that may go wrong."""

import json
from dataclasses import dataclass

from hypothesis import strategies as st
from tests.testing.decode.generated_values import (
    ALIKE,
    ALL_VALUES,
    FITTING,
    NAMES,
    NO_OBJECTS,
    NOT_FINITE,
    SPLINTERS,
    TIDY_NAMES,
    TYPES,
    WRONG,
    free_values,
)
from tests.testing.decode.reference import Table

BODIES = 10  # in a case


@dataclass(frozen=True)
class Case:
    table: Table
    bodies: list[tuple[bytes, bool]]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns: dict[str, str] = {}
    if draw(st.integers(0, 3)):
        columns = {"at": "timestamp", "label": "string", "body": "string", "props": "dynamic"}
    for kind in draw(st.lists(st.sampled_from(TYPES), max_size=5, unique=True)):
        columns[f"c_{kind[:6]}"] = kind
    for name, kind in draw(st.sampled_from(ODD_COLUMNS)).items():
        columns.setdefault(name, kind)
    return Table(
        columns,
        max_new_columns=draw(st.sampled_from([32, 32, 3, 0])),
        max_columns=draw(st.sampled_from([1000, 1000, len(columns) + 2])),
    )


# What tables of others may have.
ODD_COLUMNS: list[dict[str, str]] = [
    {},
    {},
    {},
    {"timestamp": "string"},
    {"_timestamp": "timestamp"},
    {"at": "string"},
    {"A": "int"},
    {"A": "string", "a": "long"},
    {"Foo Bar": "string"},
    {"props": "string"},
]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A table and some bodies, whose rows mostly share the fields and the way of writing."""
    table = draw(tables())
    names = draw(_names(table))
    pools = [_pool(draw, name, table) for name in names]
    comma, colon = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": "), (" ,", " :\t")]))
    bodies = []
    for _ in range(BODIES):
        lines = [_line(draw, names, pools, comma, colon) for _ in range(draw(st.integers(0, 6)))]
        bodies.append((_body(draw, lines), draw(st.integers(0, 3)) > 0))
    return Case(table, bodies)


def _names(table: Table) -> st.SearchStrategy[list[str]]:
    """Return the fields of a case: mostly those that well-kept clients send."""
    tidy = st.lists(
        st.sampled_from(TIDY_NAMES + list(table.columns)),
        min_size=1,
        max_size=7,
        unique_by=str.lower,
    )
    wild = st.lists(st.sampled_from(NAMES + list(table.columns)), max_size=7)
    return st.one_of(tidy, tidy, tidy, wild)


def _pool(draw: st.DrawFn, name: str, table: Table) -> list[str]:
    """Return the values that a field has in this case: mostly of one kind."""
    kind = table.columns.get(name, "timestamp" if "timestamp" in name.lower() else "string")
    return draw(st.sampled_from([FITTING[kind], FITTING[kind], *ALIKE, ALL_VALUES]))


def _line(
    draw: st.DrawFn, names: list[str], pools: list[list[str]], comma: str, colon: str
) -> bytes:
    deviation = draw(st.integers(0, 60))
    fields = [(name, draw(st.sampled_from(pool))) for name, pool in zip(names, pools, strict=True)]
    fields = _with_other_fields(draw, fields, deviation)
    line = "{" + comma.join(f"{json.dumps(n)}{colon}{v}" for n, v in fields) + "}"
    return _damaged(draw, line.encode(errors="replace"), deviation)


def _with_other_fields(
    draw: st.DrawFn, fields: list[tuple[str, str]], deviation: int
) -> list[tuple[str, str]]:
    added = []
    match deviation:
        case 0:
            fields = draw(st.permutations(fields))
        case 1 | 2 | 3:
            fields = [field for field in fields if draw(st.integers(0, 3))]
        case 4 | 5:
            added = [(draw(st.sampled_from(NAMES)), draw(free_values))]
        case 6:
            added = [(draw(st.text(max_size=3)), draw(st.sampled_from(ALL_VALUES)))]
        case 7 | 14 | 15 if fields:
            changed = draw(st.integers(0, len(fields) - 1))
            wrong = WRONG if deviation == 7 else NOT_FINITE
            fields[changed] = (fields[changed][0], draw(st.sampled_from(wrong)))
        case 13 if fields:
            (name, value), *others = fields
            fields = [(f"{name[:1]} {name[1:]}", value), *others]
    return [*fields, *added]


def _damaged(draw: st.DrawFn, line: bytes, deviation: int) -> bytes:
    cut = draw(st.integers(0, len(line))) if deviation in (9, 10) else 0
    match deviation:
        case 8:
            return b" " + line + b"\t"
        case 9:
            return line[:cut].replace(b"\n", b"")
        case 10:
            return line[:cut] + draw(st.sampled_from(SPLINTERS)) + line[cut:]
        case 11:
            return draw(st.sampled_from(NO_OBJECTS))
        case 12:
            return line[:-1] + b",}"
    return line


def _body(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    ending = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n"]))
    start = draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\n"]))
    last = draw(st.sampled_from([ending, b""]))
    return start + ending.join(lines) + last
