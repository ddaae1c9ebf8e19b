"""Parquet bodies: rows, or an error that says why; and never the memory that they claim."""

import random
import struct
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.testing.decode.arrow_bodies import bad_body, refusal, rows
from tests.testing.decode.arrow_memory import FLAT, MIB, arrow_memory_at_most

from lakegate.decode.parquet.decoder import ParquetDecoder
from lakegate.errors import ErrorCode
from lakegate.model import Body, DecodedGroup


def file(columns: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, sink, **options)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode(*bodies: bytes, schema: pa.Schema = ParquetDecoder.default_schema) -> DecodedGroup:
    group = ParquetDecoder().decode([Body(body) for body in bodies], schema)
    group.rows.validate(full=True)
    return group


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_columns_become_those_of_the_table(version: str, compression: str) -> None:
    columns = {
        "label": ["a", None, "c" * 100],
        "n": pa.array([1, 2, None], pa.int8()),
        "tags": [["x", "y"], [], None],
        "who": [{"name": "ann", "age": 1}, None, {"name": "bob", "age": None}],
        "d": pa.array(["1.10", "2.20", None]).cast(pa.decimal128(10, 2)),
    }
    body = file(columns, compression=compression, data_page_version=version)

    group = decode(body)

    assert group.outcomes == [3]
    assert group.rows.schema.field("n").type == pa.int32()
    for name, values in columns.items():
        expected = values.to_pylist() if isinstance(values, pa.Array) else values
        assert group.rows[name].to_pylist() == expected


def test_values_are_fitted_to_the_types_of_columns() -> None:
    schema = pa.schema([("status", pa.int32()), ("at", pa.timestamp("us", tz="UTC"))])
    good = file({"status": pa.array([7], pa.int64()), "at": ["2026-05-02T10:00:00Z"]})
    bad = file({"status": ["seven"]})

    group = decode(good, bad, schema=schema)

    assert group.outcomes[0] == 1
    assert rows(group)[0]["status"] == 7
    assert 'column "status": expected int' in bad_body(group, 1)


def test_row_groups_and_pages_are_read_to_the_last() -> None:
    numbers = list(range(10_000))
    body = file({"n": numbers}, row_group_size=1000, data_page_size=500, use_dictionary=False)

    assert decode(body).rows["n"].to_pylist() == numbers


@pytest.mark.parametrize(
    "body", [b"", b"PAR1", b"PAR1PAR1", b"{}", b"PAR1" + b"\xff" * 50 + b"PAR1"]
)
def test_what_is_not_a_file_is_refused(body: bytes) -> None:
    assert "not a Parquet file" in bad_body(decode(body))


def test_a_file_that_is_cut_short_is_refused() -> None:
    body = file({"label": ["x"] * 100})
    for length in range(len(body)):
        bad_body(decode(body[:length]))


def test_a_compressed_page_may_not_become_more_than_a_body_may_be() -> None:
    body = file({"z": ["\0" * (256 * MIB)]}, compression="zstd", use_dictionary=False)
    assert len(body) < MIB

    with arrow_memory_at_most(MIB):
        assert refusal(decode(body)).code is ErrorCode.BODY_TOO_LARGE


def test_values_that_no_byte_has_are_refused() -> None:
    many = {"n": pa.repeat(pa.scalar(1, pa.int64()), 40 * MIB)}
    nulls = {f"c{i}": pa.nulls(MIB, pa.int32()) for i in range(40)}
    for body in (file(many), file(nulls)):
        assert len(body) < MIB
        with arrow_memory_at_most(4 * MIB):
            assert refusal(decode(body)).code is ErrorCode.BODY_TOO_LARGE


@pytest.mark.parametrize("nested", [False, True])
def test_one_text_may_not_be_wanted_a_thousand_times(nested: bool) -> None:  # noqa: FBT001 - a parameter
    texts: list[Any] = ["x" * MIB] * 1000
    table = pa.table({"s": [[text] for text in texts] if nested else texts})
    body = file(table, dictionary_pagesize_limit=16 * MIB)
    assert len(body) < 4 * MIB

    with arrow_memory_at_most(FLAT):
        assert refusal(decode(body)).code is ErrorCode.BODY_TOO_LARGE


def test_texts_that_are_made_of_those_before_them_are_refused() -> None:
    table = pa.table({"s": ["x" * 1000 + str(i) for i in range(1000)]})
    body = file(table, use_dictionary=False, column_encoding={"s": "DELTA_BYTE_ARRAY"})

    assert "DELTA_BYTE_ARRAY is not supported" in bad_body(decode(body))


def _with_size_claimed(body: bytes, size: int, claim: int) -> bytes:
    """Replace a size in the headers of pages by another that has as many bytes."""
    old, new = (_varint(2 * number) for number in (size, claim))
    assert len(old) == len(new)
    assert old in body
    return body.replace(old, new)


def _varint(number: int) -> bytes:
    written = b""
    while number > 0x7F:
        written += bytes([number & 0x7F | 0x80])
        number >>= 7
    return written + bytes([number])


def test_a_page_may_not_claim_more_than_its_footer_says() -> None:
    size = 200 * MIB // 4
    required = pa.schema([pa.field("z", pa.string(), nullable=False)])
    table = pa.table({"z": ["x" * size]}, schema=required)
    body = file(table, compression="zstd", use_dictionary=False)
    header = body[: body.index(b"PAR1", 4)]
    claimed = _with_size_claimed(header[:64], size + 4, 2**27 - 1) + body[64:]

    with arrow_memory_at_most(MIB):
        assert refusal(decode(claimed)).code is ErrorCode.BODY_TOO_LARGE


def test_columns_nested_without_end_are_refused() -> None:
    def nested(depth: int) -> bytes:
        type_ = pa.int32()
        for _ in range(depth):
            type_ = pa.struct([("s", type_)])
        return file(pa.table({"c": pa.nulls(1, type_)}))

    assert decode(nested(30)).outcomes == [1]
    assert "nests deeper" in bad_body(decode(nested(200)))
    # A footer may claim more than any writer would write: a million groups of one child each.
    assert bad_body(decode(_schema_of_groups(1_000_000)))
    assert bad_body(decode(_schema_of_groups(3_900)))


def _schema_of_groups(depth: int) -> bytes:
    group = b"\x48\x01s\x15\x02\x00"  # SchemaElement: name, num_children = 1
    leaf = b"\x15\x02\x25\x02\x18\x01s\x00"  # type, repetition_type, name
    footer = b"\x15\x02"  # version
    footer += b"\x19\xfc" + _varint(depth + 1) + group * depth + leaf  # schema
    footer += b"\x16\x00\x19\x0c\x00"  # num_rows, row_groups
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_bytes_changed_at_random_never_do_more_than_spoil_the_body(compression: str) -> None:
    table = pa.table(
        {
            "_timestamp": ["2026-05-02T10:00:00Z"] * 30,
            "d": ["x", "y", "x"] * 10,
            "l": [[1], None, [2, 3]] * 10,
            "s": [{"a": 1, "b": "z"}, None, {"a": None, "b": ""}] * 10,
            "m": pa.array([[("k", 1)], [], None] * 10, pa.map_(pa.string(), pa.int8())),
            "f": pa.array([b"abcd", None, b"efgh"] * 10, pa.binary(4)),
        }
    )
    body = file(table, compression=compression)
    chance = random.Random(7)  # noqa: S311  # no secret

    with arrow_memory_at_most(FLAT):
        for _ in range(500):
            spoilt = bytearray(body)
            for _ in range(chance.randint(1, 3)):
                spoilt[chance.randrange(len(spoilt))] = chance.choice([0, 1, 127, 128, 255])
            group = decode(bytes(spoilt))
            if not isinstance(group.outcomes[0], int):
                assert refusal(group).code.value.http_status in (400, 413)
