"""JSON arrays are rows, item by item, exactly as they were sent."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.testing.decode.arrow_bodies import bad_body, refusal, rows
from tests.testing.decode.generated_values import ALL_VALUES, WRONG

from lakegate.decode import limits
from lakegate.decode.json_arrays import JsonDecoder
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, DecodedGroup

DEFAULT = JsonDecoder.default_schema
DECODER = JsonDecoder()


def decode(*bodies: str | bytes, schema: pa.Schema = DEFAULT) -> DecodedGroup:
    encoded = [body.encode() if isinstance(body, str) else body for body in bodies]
    return DECODER.decode([Body(body) for body in encoded], schema)


def test_items_are_rows_with_the_texts_that_were_sent() -> None:
    group = decode('\ufeff [\n{"n":1.10,\n"o":{"b": 1,\r\n"a":[ ]}},{"s":"x\\ny  z"}\n]\n', "[]")

    assert group.outcomes == [2, 0]
    assert rows(group) == [{"n": "1.10", "o": '{"b":1,"a":[]}'}, {"s": "x\ny  z"}]


def test_lines_are_rows_too() -> None:
    group = decode('{"label":"a"}\n{"label":"b"}\n', '[{"label":"c"}]', '{"label":"d"}')

    assert group.outcomes == [2, 1, 1]
    assert [row["label"] for row in rows(group)] == ["a", "b", "c", "d"]


def test_a_bad_item_is_named_and_leaves_other_bodies_alone() -> None:
    schema = pa.schema([("n", pa.int32())])
    group = decode(
        '[{"n":1}]', '[{"n":1},\n{"n":"x"},{"n":1.5}]', "[{},5]", '{"n":7}\n5', schema=schema
    )

    assert rows(group) == [{"n": 1}]
    assert bad_body(group, 1).startswith('item 2: column "n": expected int')
    assert [each.field for each in refusal(group, 1).violations] == ["item 2", "item 3"]
    assert bad_body(group, 2) == "item 2: Expected a JSON object"
    assert bad_body(group, 3).startswith("line 2: ")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('[{"a":1},]', 1),
        ('[\n{"a":1}\n{"a":2}]', 3),
        ('[{"a":1}', 1),
        ('[{"a":"x\ny"}]', 1),
        ('[{"a":"x\ry"}]', 1),
        ('[{"a":NaN}]', 1),
        ('[{"a":1}]\n[{"a":2}]', 2),
    ],
)
def test_what_is_no_array_is_refused_with_its_line(body: str, line: int) -> None:
    message = bad_body(decode(body))
    assert message.startswith(f"line {line}: ") or "not a JSON array" in message


def test_an_array_that_nests_without_end_is_refused() -> None:
    bad_body(decode("[" * 100_000), 0)
    assert "Nested deeper" in bad_body(decode('[{"a":' + "[" * 600 + "]" * 600 + "}]"))


def test_bytes_that_are_no_text_are_named() -> None:
    assert bad_body(decode(b'[{"a":1},{"a":"\xff"}]')) == "item 2: Not UTF-8"


def test_an_array_of_too_many_items_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_LINES", 1000)
    [outcome] = decode("[" + "1," * 1000 + "1," * 1000).outcomes
    assert isinstance(outcome, LakegateError)
    assert outcome.code is ErrorCode.BODY_TOO_LARGE


values = st.one_of(st.sampled_from(ALL_VALUES), st.sampled_from(WRONG))
spaces = st.sampled_from(["", " ", "\n", "\r\n", "\t"])


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "é", "?"]), values, spaces), max_size=4))
def test_an_array_is_what_its_items_are_as_lines(items: list[tuple[str, str, str]]) -> None:
    objects = [f"{space}{{{json.dumps(name)}{space}:{value}}}" for name, value, space in items]
    group = decode(f"[{','.join(objects)}]")
    lines = "\n".join(item.replace("\r\n", "\t").replace("\n", " ") for item in objects)
    expected = NdjsonDecoder().decode([Body(lines.encode())], DEFAULT)

    assert isinstance(group.outcomes[0], int) == isinstance(expected.outcomes[0], int)
    if isinstance(expected.outcomes[0], int):
        assert rows(group) == rows(expected)
