"""NDJSON bodies to rows: the rules that callers rely on, one by one."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from tests.testing.decode.ndjson_bodies import DEFAULT, decode, refusal, rows

from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.model import Body

MOMENT = datetime(2026, 5, 2, 10, 0, tzinfo=UTC)


def test_values_land_as_the_very_texts_that_were_sent(decoder: NdjsonDecoder) -> None:
    line = b'{"n": 12345678901234567890, "d": "2026-05-02", "f": 1e400, "o": {"b":1,"a":[1.10]}}'

    group = decode(decoder, line)

    assert group.outcomes == [1]
    assert rows(group) == [
        {"n": "12345678901234567890", "d": "2026-05-02", "f": "1e400", "o": '{"b":1,"a":[1.10]}'}
    ]


@pytest.mark.parametrize("source", ["at", "timestamp", "_timestamp", "Timestamp"])
@pytest.mark.parametrize(
    "sent",
    [
        '"2026-05-02T10:00:00Z"',
        '"2026-05-02T12:00:00.000+02:00"',
        '"2026-05-02t10:00:00z"',
        "1777716000000000000",
    ],
)
def test_at_comes_from_the_time_that_a_row_has(
    decoder: NdjsonDecoder, source: str, sent: str
) -> None:
    group = decode(decoder, f'{{"{source}":{sent},"label":"x"}}'.encode())

    assert rows(group) == [{"at": MOMENT, "label": "x"}]
    assert group.rows.schema.field("at").type == pa.timestamp("us", tz="UTC")


def test_a_second_time_of_a_row_goes_to_props(decoder: NdjsonDecoder) -> None:
    line = b'{"timestamp":5,"at":"2026-05-02T10:00:00Z","_timestamp":null}'

    assert rows(decode(decoder, line)) == [{"at": MOMENT, "props": '{"timestamp":5}'}]


def test_a_table_with_a_timestamp_of_its_own_keeps_it(decoder: NdjsonDecoder) -> None:
    schema = DEFAULT.append(pa.field("timestamp", pa.string()))

    group = decode(decoder, b'{"timestamp":"noon"}', schema=schema)

    assert rows(group) == [{"timestamp": "noon"}]


def test_33_unknown_fields_are_32_columns_and_a_key_in_props(decoder: NdjsonDecoder) -> None:
    line = json.dumps({f"c{i}": i for i in range(33)}).encode()

    group = decode(decoder, line)

    (row,) = rows(group)
    assert row == {f"c{i}": str(i) for i in range(32)} | {"props": '{"c32":32}'}


def test_the_cap_of_new_columns_is_one_for_each_request(decoder: NdjsonDecoder) -> None:
    first = json.dumps({f"a{i}": i for i in range(32)}).encode()
    second = json.dumps({f"b{i}": i for i in range(33)} | {"a0": "known by now"}).encode()

    group = decode(decoder, first, second)

    assert len(group.rows.schema.names) == 32 + 32 + 1
    assert rows(group)[1]["a0"] == "known by now"
    assert rows(group)[1]["props"] == '{"b32":32}'


def test_a_table_grows_to_its_cap_and_no_further() -> None:
    decoder = NdjsonDecoder(max_table_columns=6)

    group = decode(decoder, b'{"a":1,"b":2,"c":3}')

    assert rows(group) == [{"a": "1", "b": "2", "props": '{"c":3}'}]


def test_names_that_can_be_no_column_go_to_props_whole(decoder: NdjsonDecoder) -> None:
    fields = {"Foo Bar": [1], "é": "x", "_file": 1, "x" * 64: None, "": True, "9": 0.5}
    line = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()

    assert [json.loads(str(row["props"])) for row in rows(decode(decoder, line))] == [fields]


def test_what_goes_to_props_is_written_as_it_was_sent(decoder: NdjsonDecoder) -> None:
    line = rb'{"a.b":"\u00e9\/\u001f","c.d":1.10,"e.f":"\n","g.h":"plain"}'

    assert rows(decode(decoder, line)) == [{"props": line.decode()}]


def test_a_repeated_field_goes_to_props(decoder: NdjsonDecoder) -> None:
    group = decode(decoder, b'{"A":1,"a":2,"A":3,"label":"x","Label":"y"}')

    assert rows(group) == [{"a": "1", "label": "x", "props": '{"a":2,"A":3,"Label":"y"}'}]


@pytest.mark.parametrize(
    ("own", "merged"),
    [
        ('{"x":1.10}', '{"x":1.10,"?":2}'),
        ("{}", '{"?":2}'),
        ("null", '{"?":2}'),
        ("[1]", '{"props":[1],"?":2}'),
        ('"text"', '{"props":"text","?":2}'),
    ],
)
def test_the_props_of_a_row_are_merged_with_what_has_no_column(
    decoder: NdjsonDecoder, own: str, merged: str
) -> None:
    group = decode(decoder, f'{{"props":{own},"?":2}}'.encode())

    assert rows(group) == [{"props": merged}]


def test_a_table_without_props_gets_it_when_something_has_no_column() -> None:
    decoder = NdjsonDecoder(max_new_columns=0)

    group = decode(decoder, b'{"x":1}', schema=pa.schema([("id", pa.int64())]))

    assert rows(group) == [{"props": '{"x":1}'}]
    assert group.rows.schema.field("props").metadata == {b"lakegate:type": b"dynamic"}


def test_a_props_that_is_no_text_refuses_what_has_no_column(decoder: NdjsonDecoder) -> None:
    schema = pa.schema([("props", pa.int64()), ("id", pa.int64())])

    group = decode(decoder, b'{"id":1}', b'{"id":2,"?":1}', b'{"new":1}', schema=schema)

    assert rows(group) == [{"id": 1}, {"new": "1"}]
    assert 'column "props"' in refusal(group, 1).message


def test_without_evolution_unknown_fields_are_dropped(decoder: NdjsonDecoder) -> None:
    body = Body(b'{"label":"x","new":1,"Foo Bar":2}', schema_evolve=False)

    group = decoder.decode([body], DEFAULT)

    assert rows(group) == [{"label": "x"}]
    assert group.rows.schema.names == ["label"]


def test_bodies_without_rows_are_fine(decoder: NdjsonDecoder) -> None:
    group = decode(decoder, b"", b"\n\n", b"\xef\xbb\xbf\r\n", b"  \t")

    assert group.outcomes == [0, 0, 0, 0]
    assert group.rows.num_rows == 0


def test_rows_without_fields_still_are_rows(decoder: NdjsonDecoder) -> None:
    group = decode(decoder, b"{}\n{ }\n")

    assert group.outcomes == [2]
    assert group.rows.num_rows == 2


def test_byte_order_marks_blank_lines_and_crlf_are_no_part_of_rows(decoder: NdjsonDecoder) -> None:
    group = decode(decoder, b'\xef\xbb\xbf{"label":"a"}\r\n\r\n  \r\n{"label":"b"}')

    assert group.outcomes == [2]
    assert [row["label"] for row in rows(group)] == ["a", "b"]


def test_bad_bodies_name_their_lines_and_leave_the_others_alone(decoder: NdjsonDecoder) -> None:
    good = b'{"label":"good","k":1}'
    bad = {
        7: (b'{"a":1}\n\n{"a":1,}', 3),
        13: (b'{"a":NaN}', 1),
        21: (b'\xef\xbb\xbf\r\n{"a":"\xff"}', 2),
        33: (b"[1]", 1),
        44: (good + b'\n{"at":"yesterday"}', 2),
    }
    bodies = [bad[i][0] if i in bad else good for i in range(50)]

    group = decode(decoder, *bodies)

    assert group.rows.num_rows == 45
    assert [i for i, outcome in enumerate(group.outcomes) if outcome != 1] == list(bad)
    for i, (_, line) in bad.items():
        assert refusal(group, i).message.startswith(f"line {line}: ")
        assert refusal(group, i).violations[0].field == f"line {line}"
    assert "a" not in group.rows.schema.names


def test_of_lines_in_any_script_those_that_are_no_utf_8_are_named(decoder: NdjsonDecoder) -> None:
    good = ["한", "\uffff", "\ud7ff", "\ue000", "😀"]
    bad = [b"\xff", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xc0\xaf", b"\xe2\x82", b"\xf4\x90\x80\x80"]
    lines = [text.encode() for text in good] + bad

    group = decode(decoder, b"\n".join(b'{"a":"%b"}' % line for line in lines))

    assert [violation.field for violation in refusal(group).violations] == [
        f"line {number}" for number in range(6, 12)
    ]
    assert {violation.description for violation in refusal(group).violations} == {"Not UTF-8"}


def test_the_first_ten_bad_lines_are_listed(decoder: NdjsonDecoder) -> None:
    group = decode(decoder, b'{"label":"x"}\n' + b'{"at":1.5}\n{"at"}\n' * 10)

    fields = [violation.field for violation in refusal(group).violations]
    assert fields == [f"line {number}" for number in range(2, 12)]


def test_many_threads_may_use_one_decoder(decoder: NdjsonDecoder) -> None:
    def lines(table: int) -> bytes:
        return b"".join(b'{"t%d":"%d","n":%d}\n' % (table, row, row) for row in range(500))

    def decode_table(table: int) -> list[dict[str, object]]:
        return rows(decode(decoder, lines(table), b"{"))

    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(decode_table, range(32)))

    for table, decoded in enumerate(tables):
        assert decoded == [{f"t{table}": str(row), "n": str(row)} for row in range(500)]


@pytest.mark.parametrize(
    "line",
    [
        '{"x y":1,"label":"x","x y":2}',
        '{"props":{"x y":1},"x y":2}',
        '{"props":{"x y":1,"x\\u0020y":2}}',
        '{"props":{},"a":1,"A":2,"A":3}',
        '{"props":5,"a":1,"props":6}',
    ],
)
def test_a_row_whose_props_would_have_a_key_twice_is_refused(
    decoder: NdjsonDecoder, line: str
) -> None:
    bodies = [b'{"x y":1}', b'{"x y":1}\n' + line.encode(), b'{"a":[1]}']

    group = decode(decoder, *bodies)

    assert refusal(group, 1).message.startswith('line 2: "props" would have the key "')
    assert refusal(group, 1).message.endswith('" twice')
    assert group.outcomes[::2] == [1, 1]
    assert rows(group) == [{"props": '{"x y":1}'}, {"a": "[1]"}]


@pytest.mark.parametrize("text", ["text", "{text", ""])
def test_a_props_column_of_strings_takes_any_text(decoder: NdjsonDecoder, text: str) -> None:
    schema = pa.schema([("props", pa.string())])
    group = decode(decoder, f'{{"props":"{text}"}}'.encode(), schema=schema)
    assert rows(group) == [{"props": text}]
