"""What DuckDB reads otherwise than a line says is found out, and read exactly."""

import pyarrow as pa
import pytest

from lakegate.decode.fields import Field
from lakegate.decode.names import Names
from lakegate.decode.parser import Parser
from lakegate.decode.shapes import COMPACT, LOOSE, SPACED, Member, Shape, Style, learn

PARSER = Parser()


def member(name: str, *, plain: bool = False, null: bool = False, always: bool = True) -> Member:
    return Member(name, name, plain=plain, null=null, always=always)


def proven(line: str, *members: Member, style: Style = COMPACT) -> bool:
    parsed = PARSER.parse(pa.array([line]), Shape(members, style))
    verdict: bool = parsed.proven[0].as_py()
    return verdict


A_TEXT = member("a", plain=True)
A_JSON = member("a")


@pytest.mark.parametrize(
    ("line", "member"),
    [
        ('{"a":1.10}', A_JSON),
        ('{"a":1e5}', A_JSON),
        ('{"a":-0}', A_JSON),
        ('{"a":0.1234567890123456789}', A_JSON),
        ('{"a":NaN}', A_JSON),
        ('{"a":-inf}', A_JSON),
        ('{"a":[Infinity]}', A_JSON),
        ('{"a":1,}', A_JSON),
        ('{"a":[1,]}', A_JSON),
        ('{"a":{"b":1.10}}', A_JSON),
        ('{"a":{"b":"\\u0041"}}', A_JSON),
        ('{"a":1,"a":2}', A_JSON),
        ('{"a":1,"b":2}', A_JSON),
        ('{"b":1,"a":1}', A_JSON),
        ('{"A":1}', A_JSON),
        ('{"a":null}', A_JSON),
        ("{}", A_JSON),
        ("[1]", A_JSON),
        ("1", A_JSON),
        ('{"a":1}{', A_JSON),
        ('{"a":' + "[" * 600 + "]" * 600 + "}", A_JSON),
        ('{"a":1}', A_TEXT),
        ('{"a":null}', A_TEXT),
        ('{"a":"\\n"}', A_TEXT),
        ('{"a":"\\\\"}', A_TEXT),
        ('{"a":"\\""}', A_TEXT),
        ('{"a":"x","a":"y"}', A_TEXT),
    ],
)
@pytest.mark.parametrize("style", [COMPACT, LOOSE])
def test_a_line_that_would_be_changed_is_not_proven(
    line: str, member: Member, style: Style
) -> None:
    assert not proven(line, member, style=style)


@pytest.mark.parametrize(
    ("line", "member", "style"),
    [
        ('{"a":"x y"}', A_TEXT, COMPACT),
        ('{"a":""}', A_TEXT, COMPACT),
        ('{"a": "x"}', A_TEXT, SPACED),
        ('{ "a" : "x y" }', A_TEXT, LOOSE),
        ('{"a":12345678901234567890}', A_JSON, COMPACT),
        ('{"a":1e400}', A_JSON, COMPACT),
        ('{"a":{"info":"x, nan","b":[1.5,true,null]}}', A_JSON, COMPACT),
        ('{"a": {"b": [1, 2]}}', A_JSON, LOOSE),
        ('{"a":"x\\n\\"y\\""}', A_JSON, COMPACT),
        ('{"a":null}', member("a", null=True, always=False), COMPACT),
    ],
)
def test_a_line_that_is_read_as_it_stands_is_proven(
    line: str, member: Member, style: Style
) -> None:
    assert proven(line, member, style=style)


def test_a_line_that_is_no_json_does_not_hurt_its_neighbours() -> None:
    lines = pa.array(['{"a":"x"}', '{"a":', '{"a":"y"}'])

    parsed = PARSER.parse(lines, Shape([A_TEXT], COMPACT))

    assert parsed.proven.to_pylist() == [True, False, True]
    assert parsed.columns[0] == Field(parsed.columns[0].values, unquoted=True)
    assert parsed.columns[0].values.to_pylist() == ["x", None, "y"]


def test_a_broken_line_of_any_script_does_not_hurt_its_neighbours() -> None:
    broken = ['{"a":"' + "x" * padding + "é漢" * 100 for padding in range(4)]

    parsed = PARSER.parse(pa.array(['{"a":"x"}', *broken]), Shape([A_TEXT], COMPACT))

    assert parsed.proven.to_pylist() == [True, False, False, False, False]


def test_a_shape_has_the_fields_of_all_samples_in_their_order() -> None:
    lines = ['{"a": "x", "c": 1}', '{"a": "y", "b": null, "c": 2}', '{"a": "z", "b": 5}']

    shape = learn(lines, Names(pa.schema([])))

    assert shape is not None
    assert [member.name for member in shape.members] == ["a", "b", "c"]
    assert [member.plain for member in shape.members] == [True, False, False]
    assert [member.null for member in shape.members] == [False, True, False]
    assert [member.always for member in shape.members] == [True, False, False]
    assert shape.style == SPACED


@pytest.mark.parametrize(
    "line", ['{"a":1,"A":2}', '{"a":1,"a":2}', '{"a b":1}', "{}", "[1]", '{"a":'], ids=str
)
def test_lines_that_need_care_show_no_shape(line: str) -> None:
    assert learn([line], Names(pa.schema([]))) is None


def test_quotes_in_names_cannot_leave_the_query() -> None:
    names = Names(pa.schema([]))

    assert learn(["""{"a') AS x FROM lines; --":1}"""], names) is None
    assert learn(["""{"it's":1}"""], names) is None
