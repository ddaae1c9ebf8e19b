"""Decoders, data files and other engines see the same columns, which only widen."""

from typing import NoReturn

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitStateUnknownException
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.passing_clock import PassingClock
from tests.testing.reading import duckdb_rows, load

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.lake import Lake
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.schema import arrow_schema, iceberg_schema, round_trip
from lakegate.lake.table.state import TableState
from lakegate.model import TableName

DYNAMIC = pa.field("props", pa.string(), metadata={b"lakegate:type": b"dynamic"})
VECTOR = pa.field("v", pa.list_(pa.float32()), metadata={b"lakegate:type": b"vector(3)"})


@pytest.mark.parametrize(
    "type_",
    [
        pa.bool_(),
        pa.int32(),
        pa.int64(),
        pa.float64(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        pa.timestamp("us", "UTC"),
        pa.timestamp("us"),
        pa.decimal128(20, 3),
        pa.list_(pa.field("element", pa.float32())),
        pa.struct([("a", pa.string()), ("b", pa.list_(pa.field("element", pa.int64())))]),
        pa.map_(pa.string(), pa.int64()),
    ],
    ids=str,
)
def test_a_type_is_the_same_after_the_table_was_created(type_: pa.DataType) -> None:
    assert round_trip(pa.schema([("x", type_)])).field("x").type == type_


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (pa.null(), pa.string()),
        (pa.uint8(), pa.int32()),
        (pa.uint32(), pa.int64()),
        (pa.uint64(), pa.decimal128(20, 0)),
        (pa.float16(), pa.float32()),
        (pa.date64(), pa.date32()),
        (pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("us", "UTC")),
        (pa.time32("s"), pa.time64("us")),
        (pa.large_list(pa.int8()), pa.list_(pa.field("element", pa.int32()))),
        (pa.list_(pa.float32(), 3), pa.list_(pa.field("element", pa.float32()))),
    ],
    ids=str,
)
def test_an_arrow_type_becomes_the_iceberg_type_that_holds_it(
    given: pa.DataType, becomes: pa.DataType
) -> None:
    assert round_trip(pa.schema([("x", given)])).field("x").type == becomes


def test_every_column_is_optional() -> None:
    nested = pa.struct([pa.field("a", pa.int32(), nullable=False)])
    schema = iceberg_schema(pa.schema([pa.field("x", nested, nullable=False)]))
    assert not any(schema.find_field(name).required for name in ("x", "x.a"))


def test_a_type_that_iceberg_lacks_is_refused() -> None:
    with pytest.raises(LakegateError) as caught:
        iceberg_schema(pa.schema([("x", pa.month_day_nano_interval())]))
    assert caught.value.code is ErrorCode.BAD_REQUEST_BODY


async def test_logical_types_are_kept_over_a_rename_by_another_engine(
    lake: Lake, catalog: Catalog
) -> None:
    await lake.ensure_table(ORDERS, pa.schema([*COLUMNS, DYNAMIC, VECTOR]))
    with load(catalog).update_schema() as update:
        update.rename_column("props", "extra")
    schema = TableState(load(catalog)).arrow_schema
    assert schema.field("extra").metadata == {b"lakegate:type": b"dynamic"}
    assert schema.field("v").metadata == {b"lakegate:type": b"vector(3)"}
    assert not schema.field("label").metadata


async def test_logical_types_of_added_columns_are_kept(lake: Lake, catalog: Catalog) -> None:
    await lake.ensure_table(ORDERS, COLUMNS)
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(columns=pa.schema([DYNAMIC, VECTOR])))
    described = await lake.describe(ORDERS)
    assert [(c.name, c.type, c.logical_type) for c in described.columns] == [
        ("at", "timestamptz", None),
        ("label", "string", None),
        ("props", "string", "dynamic"),
        ("v", "list<float>", "vector(3)"),
    ]
    assert arrow_schema(load(catalog).schema(), load(catalog).properties).names[2:] == [
        "props",
        "v",
    ]


async def test_an_int_column_becomes_long_and_its_old_rows_stay(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    narrow = pa.schema([("label", pa.string()), ("n", pa.int32())])
    wide = pa.schema([("label", pa.string()), ("n", pa.int64())])
    await lake.ensure_table(ORDERS, narrow)
    await lake.append(batch(decoder, {"label": "a", "n": 1}))
    await lake.ensure_table(ORDERS, narrow, TableDefinition(columns=wide))
    await lake.append(batch(decoder, {"label": "b", "n": 2**40}))
    assert duckdb_rows(catalog, "label, n") == [("a", 1), ("b", 2**40)]
    assert load(catalog).scan().to_arrow()["n"].type == pa.int64()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.field("n", pa.string()), "Column n is long and cannot become string"),
        (pa.field("n", pa.int32()), "Column n is long and cannot become int"),
        (DYNAMIC.with_name("label"), "Column label is string and cannot become dynamic"),
    ],
)
async def test_a_change_that_is_not_a_widening_is_refused_with_the_name_of_the_column(
    lake: Lake, catalog: Catalog, column: pa.Field, message: str
) -> None:
    await lake.ensure_table(ORDERS, pa.schema([("label", pa.string()), ("n", pa.int64())]))
    before = load(catalog).metadata_location
    added = pa.field("added", pa.string())
    with pytest.raises(LakegateError, match=message) as caught:
        await lake.ensure_table(
            ORDERS, COLUMNS, TableDefinition(columns=pa.schema([added, column]))
        )
    assert caught.value.code is ErrorCode.SCHEMA_CONFLICT
    assert load(catalog).metadata_location == before


async def test_ensuring_a_table_twice_changes_nothing(lake: Lake, catalog: Catalog) -> None:
    shape = TableDefinition(COLUMNS, ["day(at)", "bucket(4, label)"], {"user.owner": "tests"})
    await lake.ensure_table(ORDERS, COLUMNS, shape)
    before = load(catalog).metadata_location
    described = await lake.ensure_table(ORDERS, COLUMNS, shape)
    assert load(catalog).metadata_location == before
    assert described.partitioning == ["day(at)", "bucket(4, label)"]
    assert load(catalog).properties["user.owner"] == "tests"


async def test_another_partitioning_is_refused(lake: Lake) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["day(at)"]))
    with pytest.raises(LakegateError, match="partitioned by") as caught:
        await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["hour(at)"]))
    assert caught.value.code is ErrorCode.SCHEMA_CONFLICT


async def test_tables_are_listed_by_page(lake: Lake) -> None:
    for name in "cabde":
        await lake.ensure_table(TableName("default", name), COLUMNS)
    pages, token = [], ""
    while True:
        names, token = await lake.list_tables("default", 2, token)
        pages.append(names)
        if not token:
            break
    assert pages == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_missing_database_has_no_tables(lake: Lake) -> None:
    assert await lake.list_tables("nowhere", 10) == ([], "")


async def test_describing_a_missing_table_is_refused(lake: Lake) -> None:
    with pytest.raises(LakegateError) as caught:
        await lake.describe(ORDERS)
    assert caught.value.code is ErrorCode.TABLE_NOT_FOUND


async def test_a_description_counts_rows_and_files(lake: Lake, decoder: LinesDecoder) -> None:
    await lake.append(batch(decoder, {"label": "a"}, {"label": "b"}))
    done = await lake.append(batch(decoder, {"label": "c"}))
    described = await lake.describe(ORDERS)
    assert (described.rows, described.data_files) == (3, 2)
    assert described.snapshot_id == done.snapshot_id


async def test_a_new_column_fails_soon_if_the_catalog_does_not_answer(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    time: PassingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))

    def time_out(*_: object) -> NoReturn:
        time.pass_(40)
        raise CommitStateUnknownException("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(LeanSqlCatalog, "commit_table", time_out)
        began = time.monotonic()
        with pytest.raises(LakegateError) as caught:
            await lake.append(batch(decoder, {"label": "b", "new": "x"}))
        assert time.monotonic() - began < 3 * 40
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert duckdb_rows(catalog) == ["a"]
