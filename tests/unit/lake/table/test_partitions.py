"""A commit writes one file for each partition it touches."""

import asyncio
from collections.abc import Sequence

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestFile
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.reading import duckdb_rows, file_rows, labels, load

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.files.manifests import FAN_IN
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance import compaction
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.maintenance.reading import Read, read_data_files
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.retention import Retention

COLUMNS = pa.schema(
    [
        ("at", pa.timestamp("us", tz="UTC")),
        ("label", pa.string()),
        ("day", pa.date32()),
        ("n", pa.int64()),
    ]
)
ROWS: list[dict[str, object]] = [
    {"label": "a", "n": 1, "at": "2026-01-01T10:00:00+00:00"},
    {"label": "b", "n": 12, "at": "2026-01-01T10:30:00+00:00"},
    {"label": "a", "n": 13, "at": "2026-01-02T10:00:00+00:00"},
    {"label": "b", "n": None, "at": "2027-02-01T00:00:00+00:00"},
    {"label": "abc", "n": -5, "at": "1969-12-31T23:59:59+00:00"},
    {"label": None, "n": 2},
]


@pytest.mark.parametrize(
    ("terms", "partitions"),
    [
        (["label"], 4),
        (["identity(label)"], 4),
        (["year(at)"], 4),
        (["month(at)"], 4),
        (["day(at)"], 5),
        (["hour(at)"], 5),
        (["truncate(10, n)"], 4),
        (["truncate(1, label)"], 3),
        (["bucket(1, label)"], 2),
        (["day(at)", "label"], 6),
    ],
)
async def test_each_partition_gets_one_file(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, terms: list[str], partitions: int
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=terms))
    done = await lake.append(batch(decoder, *ROWS))
    assert done.extent_count == partitions
    files = file_rows(catalog)
    assert len(files) == partitions
    assert sum(files["record_count"].to_pylist()) == len(ROWS)
    assert len({str(partition) for partition in files["partition"].to_pylist()}) == partitions
    assert sorted(map(str, labels_of(catalog))) == sorted(str(row["label"]) for row in ROWS)
    assert len(duckdb_rows(catalog)) == len(ROWS)


def labels_of(catalog: Catalog) -> list[str | None]:
    return load(catalog).scan().to_arrow()["label"].to_pylist()  # type: ignore[no-any-return] # untyped


async def test_readers_skip_other_partitions(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["day(at)", "label"]))
    await lake.append(batch(decoder, *ROWS))
    by_label = load(catalog).scan("label = 'b'")
    by_day = load(catalog).scan("at >= '2027-01-01T00:00:00+00:00'")
    assert len(list(by_label.plan_files())) == 2
    assert len(list(by_day.plan_files())) == 1
    assert by_day.to_arrow()["label"].to_pylist() == ["b"]


async def test_rows_without_the_partition_column_are_in_the_null_partition(
    lake: Lake, catalog: Catalog
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["bucket(8, n)"]))
    await lake.append(batch(LinesDecoder(), {"label": "a"}, {"label": "b"}))
    assert labels(catalog) == ["a", "b"]
    assert file_rows(catalog)["partition"].to_pylist() == [{"n_bucket": None}]


async def test_rows_prepared_before_the_partitioning_changed_are_written_for_the_new_one(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    with load(catalog).update_spec() as update:
        update.add_identity("label")
    await lake.append(batch(decoder, {"label": "b"}))  # prepared unpartitioned
    await lake.append(batch(decoder, {"label": "c"}))
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]
    assert sorted(file_rows(catalog)["spec_id"].to_pylist()) == [0, 1, 1]


@pytest.mark.parametrize(
    "term",
    [
        "nope",
        "day(nope)",
        "day(label)",
        "bucket(label)",
        "bucket(0, label)",
        "bucket(2147483648, label)",
        "truncate(2147483648, label)",
        "bucket(99999999999999999999, label)",
        f"bucket({'9' * 5000}, label)",
        "bucket(٣, label)",
        "week(at)",
        "day(at",
        "",
    ],
)
async def test_an_invalid_term_is_refused_and_no_table_is_created(lake: Lake, term: str) -> None:
    with pytest.raises(LakegateError) as caught:
        await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=[term]))
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert await lake.list_tables("default", 10) == ([], "")


@pytest.mark.parametrize("width", [1, 2**31 - 1])
async def test_widths_up_to_the_largest_are_accepted(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, width: int
) -> None:
    terms = [f"bucket({width}, label)", f"truncate({width}, n)"]
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=terms))
    await lake.append(batch(decoder, {"label": "a", "n": 5}))
    assert duckdb_rows(catalog) == ["a"]


async def test_a_partition_that_would_have_the_name_of_a_column_is_refused(lake: Lake) -> None:
    columns = COLUMNS.append(pa.field("label_trunc", pa.string()))
    with pytest.raises(LakegateError, match="label_trunc, as a column is") as caught:
        await lake.ensure_table(
            ORDERS, columns, TableDefinition(partition_by=["truncate(2, label)"])
        )
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert await lake.list_tables("default", 10) == ([], "")


async def test_rows_may_create_a_column_with_the_name_of_a_partition(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    shape = TableDefinition(partition_by=["truncate(2, label)"])
    await lake.ensure_table(ORDERS, COLUMNS, shape)
    await lake.append(batch(decoder, {"label": "abc", "label_trunc": "x"}))
    await lake.ensure_table(ORDERS, COLUMNS, shape)
    assert duckdb_rows(catalog) == ["abc"]


async def test_the_number_of_terms_is_limited(lake: Lake) -> None:
    terms = [f"bucket({width}, label)" for width in range(1, 18)]
    with pytest.raises(LakegateError, match="up to 16") as caught:
        await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=terms))
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT


async def test_ingest_continues_after_another_engine_drops_a_column_that_partitioned_the_table(
    lake: Lake, catalog: Catalog
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["n"]))
    names = [f"{number:02d}" for number in range(2 * FAN_IN + 2)]
    await append_each(lake, names[:FAN_IN], n=1)
    drop_partition_column(catalog)
    await append_each(lake, names[FAN_IN:])
    assert labels(catalog) == names
    by_spec = [each.partition_spec_id for each in manifests_of(catalog)]
    assert by_spec.count(0) == FAN_IN  # those are left unmerged
    assert by_spec.count(1) < FAN_IN


async def test_files_whose_partition_column_is_dropped_while_they_are_compacted_are_kept(
    lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["n"]))
    await append_each(lake, ["a", "b"], n=1)
    reading = read_data_files

    def read_then_drop(*args: object) -> Read:
        read = reading(*args)  # type: ignore[arg-type] # passed on as they are
        drop_partition_column(catalog)
        return read

    monkeypatch.setattr(compaction, "read_data_files", read_then_drop)
    maintenance = Maintenance(catalog, MaintenancePolicy(Retention()))
    await asyncio.to_thread(maintenance.compact, ORDERS, everything=True)
    assert labels(catalog) == ["a", "b"]
    assert maintenance.summary.files_merged == 0


async def append_each(lake: Lake, names: Sequence[str], **partition: int) -> None:
    for name in names:
        await lake.append(batch(LinesDecoder(), {"label": name, **partition}))


def drop_partition_column(catalog: Catalog) -> None:
    with load(catalog).update_spec() as specs:
        specs.remove_field("n")
    with load(catalog).update_schema() as schema:
        schema.delete_column("n")


def manifests_of(catalog: Catalog) -> list[ManifestFile]:
    table = load(catalog)
    snapshot = table.current_snapshot()
    return snapshot.manifests(table.io) if snapshot else []
