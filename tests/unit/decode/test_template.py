"""What DuckDB reads otherwise than a line says is found out, and read exactly."""

import pyarrow as pa
import pytest

from lakegate.decode.ndjson.engine import Engine
from lakegate.decode.ndjson.template.parser import Parser
from lakegate.decode.ndjson.template.template import (
    COMPACT,
    LOOSE,
    SPACED,
    Kind,
    Style,
    Template,
    TemplateMember,
    learn,
)
from lakegate.decode.router import Router
from lakegate.decode.values.json_column import JsonColumn

PARSER = Parser(Engine())


def member(kind: Kind, *, null: bool = False) -> TemplateMember:
    return TemplateMember("a", "a", kind, null=null, always=not null)


def proven(line: str, *members: TemplateMember, style: Style = COMPACT) -> bool:
    parsed = PARSER.parse(pa.array([line]), Template(members, style))
    verdict: bool = parsed.proven[0].as_py()
    return verdict


PLAIN = member(Kind.PLAIN)
ESCAPED = member(Kind.ESCAPED)
RAW_STRING = member(Kind.RAW_STRING)
RAW_NUMBER = member(Kind.RAW_NUMBER)
ANY = member(Kind.ANY)


@pytest.mark.parametrize(
    ("line", "member"),
    [
        ('{"a":1.10}', ANY),
        ('{"a":1e5}', ANY),
        ('{"a":-0}', ANY),
        ('{"a":0.1234567890123456789}', ANY),
        ('{"a":NaN}', ANY),
        ('{"a":-inf}', ANY),
        ('{"a":[Infinity]}', ANY),
        ('{"a":1,}', ANY),
        ('{"a":[1,]}', ANY),
        ('{"a":{"b":1.10}}', ANY),
        ('{"a":{"b":"\\u0041"}}', ANY),
        ('{"a":1,"a":2}', ANY),
        ('{"a":1,"b":2}', ANY),
        ('{"b":1,"a":1}', ANY),
        ('{"A":1}', ANY),
        ('{"a":null}', ANY),
        ("{}", ANY),
        ("[1]", ANY),
        ("1", ANY),
        ('{"a":1}{', ANY),
        ('{"a":' + "[" * 600 + "]" * 600 + "}", ANY),
        ('{"a":1}', PLAIN),
        ('{"a":null}', PLAIN),
        ('{"a":"\\n"}', PLAIN),
        ('{"a":"\\\\"}', PLAIN),
        ('{"a":"\\""}', PLAIN),
        ('{"a":"x","a":"y"}', PLAIN),
        ('{"a":1}', ESCAPED),
        ('{"a":1}', RAW_STRING),
        ('{"a":"x","a":"y"}', RAW_STRING),
        ('{"b":"\\"a\\":\\"x\\"","a":"x"}', RAW_STRING),
        ('{"b":{"a":1.10},"a":1.10}', RAW_NUMBER),
        ('{"a":1.10,"a":1.10}', RAW_NUMBER),
        ('{"a":"1.10"}', RAW_NUMBER),
        ('{"a":1.10,}', RAW_NUMBER),
        ('{"a":NaN}', RAW_NUMBER),
        ('{"a":01}', RAW_NUMBER),
        ('{"a":"\\u0041"}', ESCAPED),
        ('{"a":"\\/"}', ESCAPED),
        ('{"a":"\\u001f"}', ESCAPED),
    ],
)
@pytest.mark.parametrize("style", [COMPACT, LOOSE])
def test_a_line_that_would_be_changed_is_not_proven(
    line: str, member: TemplateMember, style: Style
) -> None:
    assert not proven(line, member, style=style)


@pytest.mark.parametrize(
    ("line", "member", "style"),
    [
        ('{"a":"x y"}', PLAIN, COMPACT),
        ('{"a":""}', PLAIN, COMPACT),
        ('{"a": "x"}', PLAIN, SPACED),
        ('{ "a" : "x y" }', PLAIN, LOOSE),
        ('{"a":12345678901234567890}', ANY, COMPACT),
        ('{"a":1e400}', ANY, COMPACT),
        ('{"a":{"info":"x, nan","b":[1.5,true,null]}}', ANY, COMPACT),
        ('{"a": {"b": [1, 2]}}', ANY, LOOSE),
        ('{"a":"x\\n\\"y\\""}', ANY, COMPACT),
        ('{"a":"x\\n\\"y\\" \\\\"}', ESCAPED, COMPACT),
        ('{"a": "\\u001F"}', ESCAPED, SPACED),
        ('{"a":"\\u00e9\\/\\ud83d\\ude00"}', RAW_STRING, COMPACT),
        ('{ "a" :  "\\u00e9 x" }', RAW_STRING, LOOSE),
        ('{"a":1.10}', RAW_NUMBER, COMPACT),
        ('{ "a" : -1E-05 }', RAW_NUMBER, LOOSE),
        ('{"a":null}', member(Kind.ANY, null=True), COMPACT),
    ],
)
def test_a_line_that_is_read_as_it_stands_is_proven(
    line: str, member: TemplateMember, style: Style
) -> None:
    assert proven(line, member, style=style)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize(
    "line",
    [
        '{"a b":""}',
        '{"a b":null}',
        '{ "a b" : "" }',
        '{"a b":1.10,"o":{"ab":1.10}}',
        '{"a b":"x","o":{"ab":"x"}}',
        '{"a b":null,"o":{"ab":null}}',
        '{"ab":null,"a b":null}',
    ],
)
def test_a_name_is_none_without_its_spaces(line: str, kind: Kind, *, null: bool) -> None:
    names = [
        TemplateMember("ab", "ab", kind, null=null, always=not null),
        TemplateMember("o", "o", Kind.ANY, null=False, always=False),
    ]

    assert not proven(line, *names, style=LOOSE)
    assert not proven(line, *names, style=COMPACT)


def test_values_are_the_texts_and_digits_of_the_line() -> None:
    line = r'{"a":"\u00e9\n\/","b":1.10,"c":"x","d":"\\","e":[1,"y"]}'
    router = Router(pa.schema([]))

    template = learn([line], router)
    assert template is not None
    parsed = PARSER.parse(pa.array([line]), template)

    assert parsed.proven.to_pylist() == [True]
    assert [column.text()[0].as_py() for column in parsed.columns] == [
        "é\n/",
        "1.10",
        "x",
        "\\",
        '[1,"y"]',
    ]


def test_a_line_that_is_no_json_does_not_hurt_its_neighbours() -> None:
    lines = pa.array(['{"a":"x"}', '{"a":', '{"a":"y"}'])

    parsed = PARSER.parse(lines, Template([PLAIN], COMPACT))

    assert parsed.proven.to_pylist() == [True, False, True]
    assert parsed.columns[0] == JsonColumn(parsed.columns[0].values, texts=True)
    assert parsed.columns[0].values.to_pylist() == ["x", None, "y"]


def test_a_broken_line_of_any_script_does_not_hurt_its_neighbours() -> None:
    broken = ['{"a":"' + "x" * padding + "é漢" * 100 for padding in range(4)]

    parsed = PARSER.parse(pa.array(['{"a":"x"}', *broken]), Template([PLAIN], COMPACT))

    assert parsed.proven.to_pylist() == [True, False, False, False, False]


def test_a_shape_has_the_fields_of_all_samples_in_their_order() -> None:
    lines = ['{"a": "x", "c": 1}', '{"a": "y", "b": null, "c": 2}', '{"a": "z", "b": 5}']

    template = learn(lines, Router(pa.schema([])))

    assert template is not None
    assert [member.name for member in template.members] == ["a", "b", "c"]
    assert [member.kind for member in template.members] == [Kind.PLAIN, Kind.ANY, Kind.ANY]
    assert [member.null for member in template.members] == [False, True, False]
    assert [member.always for member in template.members] == [True, False, False]
    assert template.style == SPACED


@pytest.mark.parametrize(
    "line", ['{"a":1,"A":2}', '{"a":1,"a":2}', '{"a b":1}', "{}", "[1]", '{"a":'], ids=str
)
def test_lines_that_need_care_show_no_shape(line: str) -> None:
    assert learn([line], Router(pa.schema([]))) is None


def test_a_line_of_very_many_names_shows_no_shape() -> None:
    line = "{" + ",".join(f'"{i:x}":1' for i in range(1001)) + "}"

    assert learn([line], Router(pa.schema([]))) is None


def test_quotes_in_names_cannot_leave_the_query() -> None:
    router = Router(pa.schema([]))

    assert learn(["""{"a') AS x FROM lines; --":1}"""], router) is None
    assert learn(["""{"it's":1}"""], router) is None
