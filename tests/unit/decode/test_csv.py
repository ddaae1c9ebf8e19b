"""CSV bodies to rows: strings, and what columns with types take."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from tests.testing.decode.arrow_bodies import bad_body, refusal, rows
from tests.testing.decode.arrow_memory import FLAT, MIB, arrow_memory_at_most

from lakegate.columns.registry import parse_field
from lakegate.decode import limits
from lakegate.decode.csv import CsvDecoder
from lakegate.errors import ErrorCode
from lakegate.model import Body, DecodedGroup

DEFAULT = CsvDecoder.default_schema
TYPES = ["bool", "int", "long", "real", "decimal(5,2)", "timestamp", "date", "dynamic"]
TYPES += ["vector(2)", "string"]
TYPED = pa.schema([parse_field(f"c{i}", type_) for i, type_ in enumerate(TYPES)])


def decode(*bodies: str | bytes, schema: pa.Schema = DEFAULT) -> DecodedGroup:
    encoded = [Body(body.encode() if isinstance(body, str) else body) for body in bodies]
    group = CsvDecoder().decode(encoded, schema)
    group.rows.validate(full=True)
    return group


def test_columns_are_strings_by_the_names_of_the_header() -> None:
    group = decode("label,amount\na,1.10\nb,007\n")

    assert group.outcomes == [2]
    assert rows(group) == [{"label": "a", "amount": "1.10"}, {"label": "b", "amount": "007"}]
    assert group.rows.schema.field("amount").type == pa.string()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quotes_and_line_ends_are_those_of_the_rfc(end: str) -> None:
    body = end.join(["\ufefflabel,body", '"a ""b"", c","two\nlines"', "", 'x,"" '[:-1], "last,"])

    group = decode(body)

    assert rows(group) == [
        {"label": 'a "b", c', "body": "two\nlines"},
        {"label": "x", "body": ""},
        {"label": "last"},
    ]


@pytest.mark.parametrize("body", ["", "\n", "label,n", "label,n\n", "\ufeff"])
def test_bodies_without_rows_are_fine(body: str) -> None:
    assert decode(body).outcomes == [0]


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("bool", "true", True),
        ("bool", "True", None),
        ("int", "42", 42),
        ("int", "4.2e1", 42),
        ("int", "042", None),
        ("int", "+42", None),
        ("int", "2147483648", None),
        ("long", "9007199254740993", 9007199254740993),
        ("real", "1e-5", 1e-5),
        ("real", "NaN", None),
        ("real", "1e999", None),
        ("decimal(5,2)", "1.50", Decimal("1.50")),
        ("decimal(5,2)", "1.505", None),
        ("decimal(5,2)", "1e-999999999", None),
        ("timestamp", "2026-05-02T12:00:00+02:00", datetime(2026, 5, 2, 10, tzinfo=UTC)),
        ("timestamp", "1777716000000000000", datetime(2026, 5, 2, 10, tzinfo=UTC)),
        ("timestamp", "yesterday", None),
        ("date", "2026-05-02", date(2026, 5, 2)),
        ("date", "2026-02-30", None),
        ("dynamic", '{"b": 1.10, "a": [1]}', '{"b":1.10,"a":[1]}'),
        ("dynamic", "plain text", '"plain text"'),
        ("dynamic", "{broken", '"{broken"'),
        ("vector(2)", "[1, -0.5]", [1, -0.5]),
        ("vector(2)", "[1,2,3]", None),
        ("vector(2)", "[01,2]", None),
        ("string", "42", "42"),
        ("string", "null", "null"),
    ],
)
def test_typed_columns_take_what_they_take_of_ndjson(type_: str, text: str, value: object) -> None:
    schema = pa.schema([parse_field("c", type_)])
    quoted = text.replace('"', '""')

    group = decode(f'x,c\n1,\n2,"{quoted}"\n', schema=schema)

    if value is None:
        message = bad_body(group)
        assert message.startswith(f'line 3: column "c": expected {type_} (')
        assert message.endswith(f", got {text}")
    else:
        assert group.rows["c"].to_pylist() == [None, value]


def test_a_null_is_a_value_that_is_empty() -> None:
    names = ",".join(TYPED.names)
    group = decode(f"{names}\n{',' * (len(TYPES) - 1)}\n", schema=TYPED)
    assert group.outcomes == [1]
    assert rows(group) == [{}]


def test_what_has_no_column_goes_to_props_as_strings() -> None:
    group = decode("label,Label,Foo Bar,_file\na,b,1,\n")
    assert rows(group) == [{"label": "a", "props": '{"Label":"b","Foo Bar":"1"}'}]


def test_at_comes_from_the_time_that_a_row_has() -> None:
    group = decode("_timestamp,label\n2026-05-02T10:00:00Z,x\n,y\n")
    assert group.rows["at"].to_pylist() == [datetime(2026, 5, 2, 10, tzinfo=UTC), None]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3: Expected 2 columns, got 1"),
        ("a,b\n1,2\n3,4,5\n", "line 3: Expected 2 columns, got 3"),
        ('a,b\n"1\n1",2\n3\n', "row 2: Expected 2 columns, got 1"),
        (b"a,b\n1,2\n3,\xff\n", "line 3: CSV conversion error to string: invalid UTF8"),
        (b"a,\xff\n1,2\n", "not CSV"),
    ],
)
def test_a_bad_row_is_named(body: str | bytes, message: str) -> None:
    good = decode("a,b\n1,2\n", body, "a\n3\n")

    assert message in bad_body(good, 1)
    assert [row["a"] for row in rows(good)] == ["1", "3"]


def test_the_first_ten_bad_values_are_listed() -> None:
    group = decode("n\n" + "x\n" * 20, schema=pa.schema([("n", pa.int32())]))
    fields = [violation.field for violation in refusal(group).violations]
    assert fields == [f"line {number}" for number in range(2, 12)]


def test_a_row_may_have_a_megabyte_and_a_value_any_line_breaks() -> None:
    text = "a\n" * MIB
    assert decode(f'label\n"{text}"\n').rows["label"].to_pylist() == [text]


def test_rows_times_columns_are_bounded_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_CELLS", 2000)
    names = ",".join(f"c{i}" for i in range(100))
    row = "," * 99

    assert decode(f"{names}\n" + f"{row}\n" * 18).outcomes == [18]
    assert refusal(decode(f"{names}\n" + f"{row}\n" * 21)).code is ErrorCode.BODY_TOO_LARGE
    with arrow_memory_at_most(MIB):
        assert bad_body(decode("," * 20_000 + "\n1\n"))


def test_too_many_rows_are_refused() -> None:
    body = b"a\n" + b"x\n" * (limits.MAX_LINES + 1)
    with arrow_memory_at_most(FLAT):
        assert refusal(decode(body)).code is ErrorCode.BODY_TOO_LARGE
