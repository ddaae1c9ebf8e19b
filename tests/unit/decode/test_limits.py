"""Rows with few fields each but many columns together: bounded, whatever the bytes were."""

import pyarrow as pa
import pytest
from tests.testing.decode.arrow_bodies import stream

from lakegate.decode import limits
from lakegate.decode.arrow.decoder import ArrowDecoder
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, TooLargeError

COLUMNS = 100
MAX_LINES = 1000
SCHEMA = pa.schema([("props", pa.string()), *((f"c{i}", pa.string()) for i in range(COLUMNS))])
MAX_CELLS = 2000


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CELLS", MAX_CELLS)
    monkeypatch.setattr(limits, "MAX_LINES", MAX_LINES)


def sparse(rows: int, prefix: str = "c") -> Body:
    return Body(b"\n".join(b'{"%s%d":1}' % (prefix.encode(), i % COLUMNS) for i in range(rows)))


def test_a_body_of_too_many_cells_is_refused_and_told_to_split() -> None:
    [refusal] = NdjsonDecoder().decode([sparse(MAX_CELLS // COLUMNS * 10)], SCHEMA).outcomes
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BODY_TOO_LARGE
    assert refusal.message == (
        "200 rows of 100 columns are more than 2000 cells: split the body into smaller batches"
    )


def test_new_columns_count_too() -> None:
    decoder = NdjsonDecoder(max_new_columns=COLUMNS)
    [refusal] = decoder.decode([sparse(200, "new")], pa.schema([("props", pa.string())])).outcomes
    assert isinstance(refusal, LakegateError)


def test_columns_that_do_not_occur_do_not_count() -> None:
    decoded = NdjsonDecoder().decode([Body(b'{"c1":1}\n' * MAX_LINES)], SCHEMA)
    assert decoded.outcomes == [MAX_LINES]


def test_blank_lines_do_not_count() -> None:
    body = Body(b"\n \r\n" * MAX_LINES + b"{}\n" * MAX_LINES)
    assert NdjsonDecoder().decode([body], SCHEMA).outcomes == [MAX_LINES]


def test_the_number_of_a_line_counts_blank_ones_in_every_part_of_a_body() -> None:
    blank = 5_000_000
    first, second = b"{}\n" + b"\n" * blank + b"{}", b"\n" * blank + b"{}\n" + b"{bad}\n"
    good, bad = NdjsonDecoder().decode([Body(first), Body(second)], SCHEMA).outcomes
    assert good == 2
    assert str(bad).startswith(f"line {blank + 2}: ")


def test_a_body_of_too_many_lines_is_refused_and_told_to_split() -> None:
    [refusal] = NdjsonDecoder().decode([Body(b"{}\n" * (MAX_LINES + 1))], SCHEMA).outcomes
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BODY_TOO_LARGE
    assert refusal.message == ("1001 lines are more than 1000: split the body into smaller batches")


def test_a_group_of_too_many_lines_is_left_to_be_decoded_one_by_one() -> None:
    with pytest.raises(TooLargeError):
        NdjsonDecoder().decode([Body(b"{}\n" * MAX_LINES), Body(b"{}\n")], SCHEMA)


def test_a_group_of_too_many_cells_is_left_to_be_decoded_one_by_one() -> None:
    bodies = [sparse(15), sparse(200)]
    with pytest.raises(TooLargeError):
        NdjsonDecoder().decode(bodies, SCHEMA)
    assert NdjsonDecoder().decode(bodies[:1], SCHEMA).outcomes == [15]


def test_a_table_of_few_bytes_may_not_have_columns_of_others_filled_in_without_end() -> None:
    wide = Body(stream(pa.table({f"c{i}": ["x"] for i in range(COLUMNS)})))
    long = Body(stream(pa.table({"c0": pa.array([True] * MAX_CELLS)})))
    assert ArrowDecoder().decode([wide], SCHEMA).outcomes == [1]
    assert ArrowDecoder().decode([long], SCHEMA).outcomes == [MAX_CELLS]
    with pytest.raises(TooLargeError):
        ArrowDecoder().decode([wide, long], SCHEMA)


def test_a_table_of_too_many_cells_is_refused_and_told_to_split() -> None:
    table = pa.table({f"c{i}": ["x"] * (MAX_CELLS // COLUMNS + 1) for i in range(COLUMNS)})
    [refusal] = ArrowDecoder().decode([Body(stream(table))], SCHEMA).outcomes
    assert isinstance(refusal, LakegateError)
    assert refusal.code is ErrorCode.BODY_TOO_LARGE
    assert refusal.message == (
        "21 rows of 100 columns are more than 2000 cells: split the body into smaller batches"
    )
