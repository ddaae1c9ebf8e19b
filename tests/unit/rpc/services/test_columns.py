"""The columns that EnsureTable takes."""

import pyarrow as pa
import pytest

from lakegate.columns.reserved import RESERVED_COLUMNS
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.services.columns import arrow_schema
from lakegate.v1.tables_pb2 import Column


@pytest.mark.parametrize("word", ["vector(1)", "vector( 384 )", "VECTOR(16384)"])
def test_a_vector_of_a_sane_length_is_a_type(word: str) -> None:
    assert arrow_schema([Column(name="v", type=word)]).names == ["v"]


@pytest.mark.parametrize(
    ("word", "precision", "scale"),
    [("decimal(10,2)", 10, 2), ("DECIMAL( 38 , 38 )", 38, 38), ("decimal(1,0)", 1, 0)],
)
def test_a_decimal_that_iceberg_has_is_a_type(word: str, precision: int, scale: int) -> None:
    [column] = arrow_schema([Column(name="d", type=word)])
    assert column.type == pa.decimal128(precision, scale)


@pytest.mark.parametrize(
    "word",
    [
        "decimal",
        "decimal(10)",
        "decimal(0,0)",
        "decimal(39,0)",
        "decimal(5,6)",
        "decimal(5,-1)",
        "decimal(5,2,1)",
        "int(5)",
        "time",
        "uuid",
        "vector(0)",
        "vector(16385)",
        "vector(999999)",
        "vector(-1)",
        "vector(1٣)",
        "vector()",
        f"vector({'9' * 5000})",
        "text",
        "",
    ],
)
def test_any_other_word_is_no_type(word: str) -> None:
    with pytest.raises(LakegateError, match="is not a type") as refusal:
        arrow_schema([Column(name="v", type=word)])
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", sorted(RESERVED_COLUMNS))
def test_a_name_that_iceberg_keeps_is_refused(name: str) -> None:
    with pytest.raises(LakegateError, match=name) as refusal:
        arrow_schema([Column(name=name, type="string")])
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT


def test_a_column_is_not_given_twice() -> None:
    with pytest.raises(LakegateError, match="column 'a' is given twice") as refusal:
        arrow_schema([Column(name=name, type="int") for name in ("a", "b", "a")])
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
