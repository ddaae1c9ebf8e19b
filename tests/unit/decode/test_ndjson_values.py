"""Values of NDJSON in columns with types: what they take, and how a refusal reads."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from tests.testing.decode.ndjson_bodies import decode, refusal, rows

from lakegate.decode.ndjson.decoder import NdjsonDecoder

MOMENT = datetime(2026, 5, 2, 10, 0, tzinfo=UTC)


def test_a_value_of_a_wrong_type_is_named_with_its_column(decoder: NdjsonDecoder) -> None:
    schema = pa.schema([("status", pa.int32())])
    value = "9" * 300

    group = decode(decoder, f'{{"status":{value}}}'.encode(), schema=schema)

    message = refusal(group).message
    assert message.startswith('line 1: column "status": expected int ')
    assert value[:100] in message
    assert value[:101] not in message


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (pa.decimal128(10, 2), "1.5", "1.50"),
        (pa.decimal128(10, 2), "1.505", None),
        (pa.decimal128(10, 2), "0.1e-1", "0.01"),
        (pa.decimal128(10, 2), "1.50000000000000000000000000000000000000000000000", "1.50"),
        (pa.decimal128(10, 2), "99999999.99", "99999999.99"),
        (pa.decimal128(10, 2), "100000000", None),
        (pa.decimal128(10, 2), "1e999999999", None),
        (pa.decimal128(10, 2), "1e-999999999", None),
        (pa.decimal128(10, 2), "0e400", "0.00"),
        (pa.decimal128(10, 2), '"1.50"', None),
        (pa.decimal128(10, 2), "true", None),
        (pa.decimal128(38, 0), "9" * 38, "9" * 38),
        (pa.decimal128(38, 0), "1" + "0" * 38, None),
        (pa.decimal128(38, 38), "-0." + "9" * 38, "-0." + "9" * 38),
        (pa.decimal128(38, 38), "1", None),
        (
            pa.uuid(),
            '"123E4567-e89b-12d3-a456-426614174000"',
            "123e4567-e89b-12d3-a456-426614174000",
        ),
        (pa.uuid(), '"123"', None),
        (pa.time64("us"), '"10:00:00.5"', "10:00:00.500000"),
        (pa.time64("us"), '"25:00:00"', None),
        (pa.float32(), "0.5", "0.5"),
        (pa.float32(), "1e39", None),
        (pa.timestamp("us"), '"2026-05-02T12:00:00+02:00"', "2026-05-02 10:00:00"),
        (pa.list_(pa.int32()), "[1,null]", "[1, None]"),
        (pa.list_(pa.int32()), "[1.5]", None),
        (pa.struct([("x", pa.int32()), ("y", pa.string())]), '{"x":1}', "{'x': 1, 'y': None}"),
        (pa.struct([("x", pa.int32())]), '{"z":1}', None),
        (pa.struct([("x", pa.int32())]), '{"x":1,"x":2}', None),
        (pa.map_(pa.string(), pa.bool_()), '{"k":true}', "[('k', True)]"),
        (pa.binary(), '"AA=="', None),
    ],
)
def test_columns_of_other_engines_take_exact_values_or_refuse(
    decoder: NdjsonDecoder, type_: pa.DataType, text: str, value: str | None
) -> None:
    schema = pa.schema([pa.field("c", type_)])

    group = decode(decoder, f'{{"c":{text}}}'.encode(), schema=schema)

    if value is None:
        assert refusal(group).message.startswith('line 1: column "c": expected ')
        assert group.rows.num_rows == 0
    else:
        assert [str(row["c"]) for row in rows(group)] == [value]
        assert group.rows.schema.field("c").type == type_


def test_columns_of_other_engines_are_found_whatever_their_case(decoder: NdjsonDecoder) -> None:
    schema = pa.schema([("userId", pa.int64()), ("Foo Bar", pa.string())])

    group = decode(decoder, b'{"USERID":1,"Foo Bar":"x"}\n{"userId":2}', schema=schema)

    assert rows(group) == [{"userId": 1, "Foo Bar": "x"}, {"userId": 2}]


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        ("1773144000", "seconds"),
        ("1773144000000", "milliseconds"),
        ("1773144000000000", "microseconds"),
        ("0", "seconds"),
        ("-1773144000000", "milliseconds"),
    ],
)
def test_a_number_in_another_unit_is_refused_and_the_unit_is_named(
    decoder: NdjsonDecoder, number: str, unit: str
) -> None:
    error = refusal(decode(decoder, b'{"at":%b}' % number.encode()))
    assert error.message.startswith('line 1: column "at": expected timestamp (ISO 8601 text ')
    assert error.message.endswith(f"got {number}, which looks like {unit}")


@pytest.mark.parametrize("sent", ["timestamp", "_timestamp", "Timestamp"])
def test_the_error_names_the_field_that_was_sent(decoder: NdjsonDecoder, sent: str) -> None:
    line = b'{"label":"x","at":null,"%b":"noon"}' % sent.encode()
    assert refusal(decode(decoder, line)).message.startswith(f'line 1: field "{sent}": expected ')


def test_forms_of_iso_8601_may_be_mixed(decoder: NdjsonDecoder) -> None:
    forms = ["20260502T100000Z", "2026-05-02 12:00:00,0+0200", "2026-05-02T10:00", "20260502T10"]
    group = decode(decoder, "\n".join(f'{{"at":"{form}"}}' for form in forms).encode())
    assert rows(group) == [{"at": MOMENT}] * 4
