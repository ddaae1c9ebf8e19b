"""Strategies for tables and bodies: rows that share a shape, with everything that may go wrong."""

import json
from dataclasses import dataclass

from hypothesis import strategies as st
from tests.testing.decode.reference import Table

TYPES = [
    "bool",
    "int",
    "long",
    "real",
    "string",
    "timestamp",
    "date",
    "dynamic",
    "vector(3)",
    "decimal(5,2)",
]

NAMES = [
    "at",
    "timestamp",
    "_timestamp",
    "label",
    "props",
    "a",
    "A",
    "b",
    "n",
    "Foo Bar",
    "a ",
    "n n",
    "é",
    "_file",
    "_x9",
    "9x",
    "",
    'q"',
    "x" * 63,
    "x" * 64,
    "\u212a",
    "Timestamp",
    *(f"c_{kind[:6]}" for kind in TYPES),
]

TIDY_NAMES = [
    "at",
    "timestamp",
    "_timestamp",
    "label",
    "props",
    "a",
    "B",
    "n",
    "nn",
    "x-y",
    "_file",
]

STRINGS = [
    '""',
    '"text"',
    '"two words"',
    '"null"',
    '"1.10"',
    '" leading and trailing "',
    r'"quoted \"inside\""',
    r'"\""',
    r'"\\"',
    r'"\\\""',
    r'"line\nbreak\ttab"',
    r'"\u00e9\/\u0041"',
    r'"\u001F\u001f\u0000"',
    r'"\ud83d\ude00"',
    '"é 漢字 😀"',
    '": , {"',
    '"a, \\"b\\": 1"',
    '"NaN"',
    '"info: Infinity"',
    '"2026-05-02"',
    '"2026-05-02T10:00:00Z"',
    '"2026-05-02T10:00:00.123456789+05:30"',
    '"2026-05-02t10:00:00.1z"',
    '"2026-05-02 10:00:00-00:00"',
    '"2026-05-02T10:00:00"',
    '"2026-05-02T10:00Z"',
    '"2026-02-30T10:00:00Z"',
    '"2026-05-02T24:00:00Z"',
    '"2026-05-02T23:59:60Z"',
    '"0000-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+00:01"',
    '"9999-12-31T23:59:59.9999999Z"',
    '"2026-05-02T10:00:00+24:00"',
    '"1969-12-31T23:59:59.9999995Z"',
    '"2026-02-30"',
    '"0000-01-01"',
    '"20260502"',
]
NUMBERS = [
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1.10",
    "0.1",
    "-0.0",
    "1e2",
    "1E+2",
    "1e-7",
    "12e300",
    "1e400",
    "-1e400",
    "1e-400",
    "0.12345678901234567",
    "0.1234567890123456789",
    "100000.0",
    "1e5",
    "999.99",
    "-999.990",
    "1000",
    "0.005",
    "12.345e1",
    "1e3",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "12345678901234567890",
    "1" * 400,
    "1777716000000000000",
    "1777716000000000999",
    "-1",
    "3.4028235e38",
    "3.5e38",
    "16777217",
    "4.0e0",
]
OTHERS = [
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[1,2,3]",
    "[1.5,2,1e-5]",
    "[1, 2, 3]",
    "[1,2]",
    "[1,2,null]",
    '["1",2,3]',
    "[[1],2,3]",
    '{"b":1,"a":[1.10]}',
    '{"b": 1, "a": [1.5, true]}',
    '{"x":1,"x":2}',
    '{ "x" :\t[ ] }',
    '{"info":"nan","level":"inf"}',
    '{"a":"x, y: z"}',
    '["two words",{"k v":"a  b"}]',
    "[" * 64 + "1" + "]" * 64,
    "[" * 512 + "]" * 512,
    "[" * 513 + "]" * 513,
]
NOT_FINITE = ["NaN", "-Infinity", "inf", "[NaN]", '{"a":-inf}']
WRONG = [
    *NOT_FINITE,
    "01",
    "+1",
    "1.",
    ".5",
    "0x10",
    "[1,]",
    '{"a":1,}',
    "'x'",
    "tru",
    "",
    r'"\ud800"',
    r'["\udc00"]',
    r'"\ud83d\ud83d\ude00"',
    '"\t"',
    '"',
    r'"\x"',
    r'"\u12"',
    "1 2",
    "[1",
    "/**/1",
]

FITTING = {
    "bool": ["true", "false", "null"],
    "int": ["0", "-5", "2147483647", "1.0", "null"],
    "long": ["9007199254740993", "-9223372036854775808", "1e3", "null"],
    "real": ["1", "1.5", "1e300", "-0.0", "0.30000000000000004", "null"],
    "string": ['"text"', '"two words"', "4200", "null", '"é"'],
    "timestamp": [
        '"2026-05-02T10:00:00Z"',
        '"2026-05-02T10:00:00.25Z"',
        '"2026-05-02T10:00:00.123456789Z"',
        '"2026-05-02T12:00:00+02:00"',
        '"20260502T100000Z"',
        '"2026-05-02 10:00:00,5+0200"',
        '"2026-05-02T24:00"',
        '"2026-05-02"',
        "1777716000000000001",
        "31536000000000000",
        "null",
    ],
    "date": ['"2026-05-02"', '"0001-01-01"', "null"],
    "dynamic": ['{"b":1,"a":[1.10]}', '{"b": 1}', "null", '"text"', "1.10", "[1,2]"],
    "vector(3)": ["[1,2,3]", "[0.5,1e-5,-1]", "[1, 2, 3]", "null"],
    "decimal(5,2)": ["0.1", "-999.99", "1.500", "12.3e1", "5", "-0", "0.00", "null"],
}

# Values that a client writes in one way.
ALIKE = [
    STRINGS[:3],
    ["1.10", "2.50", "3.0", "10"],
    [r'"\u00e9"', r'"\/ x"', '"x"'],
    [r'"a\nb"', r'"\\"', '"c"'],
    ['{"b": 1}', '{"b": [1, 2.5]}', '{"k k":"v v"}'],
    ["1", "2", "null"],
]

ALL_VALUES = STRINGS + NUMBERS + OTHERS


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


free_values = st.recursive(
    st.one_of(
        st.sampled_from(ALL_VALUES),
        st.text(max_size=8).map(json.dumps),
        st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
        st.integers().map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.decimals(allow_nan=False, allow_infinity=False).map(lambda n: f"{n:f}"),
    ),
    lambda values: st.one_of(
        st.lists(values, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=3).map(
            lambda members: "{" + ",".join(f"{json.dumps(n)}:{v}" for n, v in members) + "}"
        ),
    ),
    max_leaves=5,
).filter(_encodable)


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


SPLINTERS = [b"\xff", b"\xed\xa0\x80", b",", b'"', b"}", b"{", b"\x00", b" ", b"\\", b"1", b":"]
NO_OBJECTS = [
    b"",
    b"  \t",
    b"5",
    b"[1]",
    b'"x"',
    b"null",
    b"{}",
    b"{ }",
    b"{}{}",
    b"\xef\xbb\xbf{}",
]


def _body(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    ending = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n"]))
    start = draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\n"]))
    last = draw(st.sampled_from([ending, b""]))
    return start + ending.join(lines) + last
