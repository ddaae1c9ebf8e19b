"""Arrow IPC bodies to rows: the same rules as for NDJSON, with types."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest
from tests.testing.decode.arrow_bodies import bad_body, decode, rows, stream

from lakegate.decode.arrow.decoder import ArrowDecoder
from lakegate.model import Body

DEFAULT = ArrowDecoder.default_schema
MOMENT = datetime(2026, 5, 2, 10, 0, tzinfo=UTC)
DYNAMIC = pa.field("c", pa.string(), metadata={"lakegate:type": "dynamic"})
VECTOR = pa.field("c", pa.list_(pa.float32()), metadata={"lakegate:type": "vector(2)"})

MOMENT_WITHOUT_ZONE = datetime(1970, 1, 1, 0, 0, 0, 1)  # noqa: DTZ001  # as it says


@pytest.mark.parametrize(
    "array",
    [
        pa.array([None, None], pa.float64()),
        pa.array([None], pa.float32()),
        pa.array([], pa.float64()),
        pa.array([None, []], pa.list_(pa.float32())),
        pa.array([[None]], pa.list_(pa.float64())),
    ],
    ids=lambda array: f"{array.type} {array.to_pylist()}",
)
def test_a_column_of_reals_may_have_no_number(array: pa.Array) -> None:
    table = pa.table({"c": array})
    group = decode(stream(table), schema=table.schema)
    assert group.outcomes == [len(array)]
    assert group.rows["c"].to_pylist() == array.to_pylist()


@pytest.mark.parametrize("size", [-1, 2])
def test_a_column_of_vectors_may_have_no_vector(size: int) -> None:
    table = pa.table({"c": pa.array([None, None], pa.list_(pa.float32(), size))})
    group = decode(stream(table), schema=pa.schema([VECTOR]))
    assert group.outcomes == [2]
    assert group.rows["c"].to_pylist() == [None, None]


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_rows_land_with_new_columns_of_their_own_type(compression: str | None) -> None:
    table = pa.table({"label": ["a", "b"], "amount": pa.array([1, 2], pa.int64())})

    group = decode(stream(table, compression), stream(table, compression))

    assert group.outcomes == [2, 2]
    assert rows(group) == [{"label": "a", "amount": 1}, {"label": "b", "amount": 2}] * 2
    assert group.rows.schema.field("amount").type == pa.int64()


@pytest.mark.parametrize(
    ("array", "type_", "value"),
    [
        (pa.array([True]), pa.bool_(), True),
        (pa.array([1], pa.int8()), pa.int32(), 1),
        (pa.array([2**16 - 1], pa.uint16()), pa.int32(), 2**16 - 1),
        (pa.array([2**32 - 1], pa.uint32()), pa.int64(), 2**32 - 1),
        (pa.array([2**64 - 1], pa.uint64()), pa.decimal128(20, 0), Decimal(2**64 - 1)),
        (pa.array([0.5], pa.float32()), pa.float32(), 0.5),
        (pa.array(["x"], pa.large_string()), pa.string(), "x"),
        (pa.array(["x" * 20], pa.string_view()), pa.string(), "x" * 20),
        (pa.array([b"x"], pa.binary_view()), pa.binary(), b"x"),
        (pa.array([b"xy"], pa.binary(2)), pa.binary(2), b"xy"),
        (pa.array(["x"]).dictionary_encode(), pa.string(), "x"),
        (pa.array([date(2026, 5, 2)], pa.date64()), pa.date32(), date(2026, 5, 2)),
        (pa.array([time(10)], pa.time32("s")), pa.time64("us"), time(10)),
        (
            pa.array([1999], pa.timestamp("ns")),
            pa.timestamp("us"),
            MOMENT_WITHOUT_ZONE,
        ),
        (pa.array([MOMENT], pa.timestamp("s", "Asia/Tokyo")), pa.timestamp("us", "UTC"), MOMENT),
        (
            pa.array([Decimal("1.50")], pa.decimal256(40, 2)).cast(pa.decimal64(9, 2)),
            pa.decimal128(9, 2),
            Decimal("1.50"),
        ),
        (pa.array([UUID(int=1).bytes], pa.uuid()), pa.uuid(), UUID(int=1)),
        (pa.array([[1, 2]], pa.large_list(pa.int16())), pa.list_(pa.int32()), [1, 2]),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), pa.list_(pa.int32()), [1, 2]),
        (pa.array([{"a": 1, "b": ["x"]}]), None, {"a": 1, "b": ["x"]}),
        (
            pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
            pa.map_(pa.string(), pa.int32()),
            [("k", 1)],
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_arrow_types_become_those_that_iceberg_has(
    array: pa.Array, type_: pa.DataType | None, value: object
) -> None:
    nullable = pa.concat_arrays([array, pa.nulls(1, array.type)])

    group = decode({"c": nullable, "label": pa.array(["x", "y"])})

    assert [row.get("c") for row in rows(group)] == [value, None]
    assert group.rows.schema.field("c").type == (type_ or array.type)


def test_views_of_lists_and_runs_are_laid_out() -> None:
    views = pa.ListViewArray.from_arrays([0, 0, 1], [2, 1, 1], pa.array(["a", "b"]))
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["r", None]))

    group = decode({"v": views, "r": runs})

    assert rows(group) == [{"v": ["a", "b"], "r": "r"}, {"v": ["a"], "r": "r"}, {"v": ["b"]}]


def test_nulls_within_nested_values_stay_where_they_are() -> None:
    lists = pa.array(
        [None, [], [None, {"x": 1}], [{"x": None}]], pa.list_(pa.struct([("x", pa.int8())]))
    )

    group = decode({"n": lists})

    assert group.rows["n"].to_pylist() == lists.to_pylist()


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1], pa.duration("s")),
        pa.array([None], pa.list_(pa.null())),
        pa.array([{}], pa.struct([])),
        pa.array([Decimal(1)], pa.decimal256(50, 0)),
        pa.array([2**60], pa.timestamp("s")),
        pa.array([float("nan")]),
    ],
    ids=lambda array: str(array.type),
)
def test_what_iceberg_cannot_hold_is_refused_by_its_column(array: pa.Array) -> None:
    group = decode({"label": pa.array(["x"]), "c": array})

    assert bad_body(group).startswith('column "c": ')
    assert group.rows.num_rows == 0


@pytest.mark.parametrize("source", ["at", "timestamp", "_timestamp", "TimeStamp"])
@pytest.mark.parametrize(
    "times",
    [
        pa.array([MOMENT], pa.timestamp("ns", "UTC")),
        pa.array(["2026-05-02T12:00:00+02:00"]),
        pa.array([1777716000000000000]),
    ],
    ids=lambda times: str(times.type),
)
def test_at_comes_from_the_time_that_rows_have(source: str, times: pa.Array) -> None:
    assert rows(decode({source: times})) == [{"at": MOMENT}]


def test_a_second_time_of_a_row_goes_to_props() -> None:
    new_year = datetime(1971, 1, 1, tzinfo=UTC)
    nanoseconds = pa.array([5, 365 * 24 * 3600 * 10**9, None])

    group = decode({"timestamp": nanoseconds, "at": pa.array([MOMENT, None, None])})

    assert rows(group) == [{"at": MOMENT, "props": '{"timestamp":5}'}, {"at": new_year}, {}]


def test_a_time_without_a_zone_is_not_guessed() -> None:
    assert 'column "at": ' in bad_body(decode({"at": pa.array([0], pa.timestamp("us"))}))


@pytest.mark.parametrize(
    ("column", "array", "value"),
    [
        (pa.field("c", pa.int32()), pa.array([1], pa.int64()), 1),
        (pa.field("c", pa.int32()), pa.array([1.0]), 1),
        (pa.field("c", pa.int32()), pa.array([2**31]), None),
        (pa.field("c", pa.int32()), pa.array([1.5]), None),
        (pa.field("c", pa.int32()), pa.array(["1"]), None),
        (pa.field("c", pa.int32()), pa.array([True]), None),
        (pa.field("c", pa.float64()), pa.array([2**53 + 1]), None),
        (pa.field("c", pa.float64()), pa.array([1]), 1.0),
        (pa.field("c", pa.float32()), pa.array([0.1]), None),
        (pa.field("c", pa.float32()), pa.array([0.5]), 0.5),
        (pa.field("c", pa.float64()), pa.array([float("inf")]), None),
        (pa.field("c", pa.decimal128(10, 2)), pa.array([Decimal("1.5")]), Decimal("1.50")),
        (pa.field("c", pa.decimal128(10, 2)), pa.array([Decimal("1.505")]), None),
        (pa.field("c", pa.string()), pa.array([1.5]), "1.5"),
        (pa.field("c", pa.string()), pa.array([Decimal("1.50")]), "1.50"),
        (pa.field("c", pa.string()), pa.array([{"x": "é"}]), '{"x":"é"}'),
        (pa.field("c", pa.string()), pa.array([date(2026, 5, 2)]), "2026-05-02"),
        (pa.field("c", pa.date32()), pa.array(["2026-05-02"]), date(2026, 5, 2)),
        (pa.field("c", pa.date32()), pa.array(['"; \\']), None),
        (DYNAMIC, pa.array(['{"x": 1.10}']), '{"x":1.10}'),
        (DYNAMIC, pa.array(["hello"]), None),
        (DYNAMIC, pa.array(['1,"x":2']), None),
        (DYNAMIC, pa.array([{"x": [b"a"]}]), '{"x":["YQ=="]}'),
        (VECTOR, pa.array([[0.5, 1]]), [0.5, 1]),
        (VECTOR, pa.array([[0.5]]), None),
        (VECTOR, pa.array([[0.5, None]]), None),
        (
            pa.field("c", pa.struct([("x", pa.int64()), ("y", pa.string())])),
            pa.array([{"x": 1}]),
            {"x": 1, "y": None},
        ),
        (pa.field("c", pa.struct([("x", pa.int64())])), pa.array([{"z": 1}]), None),
        (
            pa.field("c", pa.map_(pa.string(), pa.int64())),
            pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
            [("k", 1)],
        ),
        (pa.field("c", pa.bool_()), pa.array([1]), None),
    ],
)
def test_columns_of_the_table_take_values_without_loss_or_refuse(
    column: pa.Field, array: pa.Array, value: object
) -> None:
    group = decode({"c": array}, schema=pa.schema([column]))

    if value is None:
        assert bad_body(group).startswith('column "c": ')
        assert group.rows.num_rows == 0
    else:
        assert rows(group) == [{"c": value}]
        assert group.rows.schema.field("c").equals(column, check_metadata=True)


def test_33_unknown_columns_are_32_columns_and_a_key_in_props() -> None:
    group = decode({f"c{i}": pa.array([i]) for i in range(33)})

    assert rows(group) == [{f"c{i}": i for i in range(32)} | {"props": '{"c32":32}'}]


def test_names_that_can_be_no_column_are_merged_into_props() -> None:
    table = pa.table(
        [
            pa.array(['{"y": 1}', None]),
            pa.array([1.5, None]),
            pa.array(["a", "b"]),
            pa.array(["c", "d"]),
        ],
        names=["props", "Foo Bar", "X", "x"],
    )

    assert rows(decode(table)) == [
        {"x": "a", "props": '{"y":1,"Foo Bar":1.5,"x":"c"}'},
        {"x": "b", "props": '{"x":"d"}'},
    ]


def test_a_body_finds_the_columns_that_those_before_it_brought() -> None:
    group = decode({"n": pa.array([1])}, {"n": pa.array(["x"])}, {"n": pa.array([2], pa.int8())})

    assert group.outcomes[0] == group.outcomes[2] == 1
    assert bad_body(group, 1).startswith('column "n": ')
    assert rows(group) == [{"n": 1}, {"n": 2}]


def test_without_evolution_unknown_columns_are_dropped() -> None:
    table = pa.table({"label": ["x"], "new": [1], "odd": pa.array([1], pa.duration("s"))})

    group = ArrowDecoder().decode([Body(stream(table), schema_evolve=False)], DEFAULT)

    assert rows(group) == [{"label": "x"}]


def test_a_stream_without_rows_is_fine() -> None:
    group = decode(pa.table({"new": pa.array([], pa.int64())}))

    assert group.outcomes == [0]
    assert group.rows.num_rows == 0
    assert "new" not in group.rows.schema.names


def test_columns_without_a_type_are_absent() -> None:
    assert rows(decode({"label": pa.array(["x"]), "n": pa.nulls(1)})) == [{"label": "x"}]


@pytest.mark.parametrize(
    "columns",
    [
        [("x y", pa.array([None, 1])), ("x y", pa.array([5, 2]))],
        [("props", pa.array([None, '{"x y":1}'])), ("x y", pa.array([5, 2]))],
    ],
)
def test_a_row_whose_props_would_have_a_key_twice_is_refused(
    columns: list[tuple[str, pa.Array]],
) -> None:
    table = pa.table([array for _, array in columns], names=[name for name, _ in columns])

    assert rows(decode(table.slice(0, 1))) == [{"props": '{"x y":5}'}]
    assert bad_body(decode(table)) == 'row 2: "props" would have the key "x y" twice'
