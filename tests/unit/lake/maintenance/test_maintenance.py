"""Compaction: fewer files, the same rows."""

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table.snapshots import Operation
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.reading import duckdb_rows, file_rows, labels, load

from lakegate.concurrency.retry import RetryPolicy
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance import compaction
from lakegate.lake.maintenance.maintain import Maintenance, Progress
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.maintenance.reading import Read, read_data_files
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings

POLICY = MaintenancePolicy(Retention())


async def append_each(lake: Lake, *names: str) -> None:
    for name in names:
        await lake.append(batch(LinesDecoder(), {"label": name}))


async def maintain(catalog: Catalog, policy: MaintenancePolicy = POLICY) -> Maintenance:
    maintenance = Maintenance(catalog, policy)
    await asyncio.to_thread(maintenance.run)
    return maintenance


async def test_small_files_are_merged_and_the_rows_are_the_same(
    lake: Lake, catalog: Catalog
) -> None:
    names = [f"{number:02d}" for number in range(25)]
    await append_each(lake, *names)
    done = await maintain(catalog)
    assert len(file_rows(catalog)) == 1
    assert labels(catalog) == duckdb_rows(catalog) == names
    assert (done.summary.files_merged, done.summary.files_written) == (25, 1)
    await append_each(lake, "later")
    assert labels(catalog) == duckdb_rows(catalog) == [*names, "later"]


async def test_the_summary_of_a_replacement_counts_what_it_changed(
    lake: Lake, catalog: Catalog
) -> None:
    await append_each(lake, "a", "b", "c")
    await maintain(catalog)
    summary = load(catalog).current_snapshot().summary  # type: ignore[union-attr] # there is one
    assert summary is not None
    assert summary.operation is Operation.REPLACE
    counted = {
        name: summary[name] for name in ("total-data-files", "total-records", "added-records")
    }
    assert counted == {"total-data-files": "1", "total-records": "3", "added-records": "3"}
    assert (summary["deleted-data-files"], summary["deleted-records"]) == ("3", "3")


async def test_a_reader_of_the_old_snapshot_can_continue(lake: Lake, catalog: Catalog) -> None:
    await append_each(lake, "a", "b")
    before = load(catalog)
    await maintain(catalog)
    assert len(before.scan().to_arrow()) == 2


async def test_partitions_are_compacted_separately(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["label"]))
    for _ in range(3):
        await lake.append(batch(decoder, {"label": "a"}, {"label": "b"}, {"label": None}))
    await maintain(catalog)
    partitions = [each["label"] for each in file_rows(catalog)["partition"].to_pylist()]
    assert sorted(partitions, key=str) == [None, "a", "b"]
    assert len(duckdb_rows(catalog)) == 9


async def test_merged_files_are_sorted_so_that_readers_can_skip(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in (3, 1, 2):
        at = (start + timedelta(days=number)).isoformat()
        await lake.append(batch(decoder, {"label": str(number), "at": at}))
    await maintain(catalog)
    (path,) = file_rows(catalog)["file_path"].to_pylist()
    assert pq.read_table(path.removeprefix("file://"))["label"].to_pylist() == ["1", "2", "3"]


async def test_files_of_columns_added_later_and_renamed_are_merged(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    await lake.append(batch(decoder, {"label": "b", "extra": "x"}))
    with load(catalog).update_schema() as update:
        update.rename_column("extra", "more")
    await lake.append(batch(decoder, {"label": "c", "more": "y"}))
    await maintain(catalog)
    assert len(file_rows(catalog)) == 1
    assert duckdb_rows(catalog, "label, more") == [("a", None), ("b", "x"), ("c", "y")]


async def test_files_of_an_int_that_became_long_are_merged(lake: Lake, catalog: Catalog) -> None:
    narrow = pa.schema([("label", pa.string()), ("n", pa.int32())])
    wide = pa.schema([("label", pa.string()), ("n", pa.int64())])
    await lake.ensure_table(ORDERS, narrow)
    await lake.append(batch(LinesDecoder(), {"label": "a", "n": 1}))
    await lake.ensure_table(ORDERS, narrow, TableDefinition(columns=wide))
    await lake.append(batch(LinesDecoder(), {"label": "b", "n": 2**40}))
    await maintain(catalog)
    assert len(file_rows(catalog)) == 1
    assert duckdb_rows(catalog, "label, n") == [("a", 1), ("b", 2**40)]


async def test_rows_appended_during_a_compaction_are_kept(
    lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, *"abcdefghijkl")
    reading = read_data_files

    def read_then_append(*args: object) -> Read:
        rows = reading(*args)  # type: ignore[arg-type] # passed on as they are
        for name in "mnopqrstuvwx":  # enough for ingest to merge the very manifests
            load(catalog).append(pa.table({"label": [name]}))
        return rows

    monkeypatch.setattr(compaction, "read_data_files", read_then_append)
    await maintain(catalog)
    assert labels(catalog) == duckdb_rows(catalog) == list("abcdefghijklmnopqrstuvwx")


async def test_rows_deleted_during_a_compaction_stay_deleted(
    lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a", "b", "c")
    reading = read_data_files

    def read_then_delete(*args: object) -> Read:
        rows = reading(*args)  # type: ignore[arg-type] # passed on as they are
        load(catalog).delete("label = 'b'")
        return rows

    monkeypatch.setattr(compaction, "read_data_files", read_then_delete)
    monkeypatch.setattr(compaction, "MAINTENANCE_COMMIT", RetryPolicy(2))
    done = await maintain(catalog)
    assert labels(catalog) == ["a", "c"]
    assert done.summary.files_merged == 0


async def test_ingest_continues_while_tables_are_compacted_in_the_background(
    settings: Settings, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    often = settings.model_copy(update={"maintenance_interval_seconds": 0.05})
    lake = Lake(open_catalog(settings.catalog, settings.home), often)
    names = [f"{number:03d}" for number in range(150)]
    await append_each(lake, *names)
    async with asyncio.timeout(30):
        while len(file_rows(catalog)) > 50:
            await append_each(lake, names[0])
            names.append(names[0])
    await lake.close()
    assert labels(catalog) == duckdb_rows(catalog) == sorted(names)
    line, *_ = [text for text in caplog.messages if text.startswith("default.orders: maint")]
    assert re.match(
        r"default\.orders: maintenance: \d\d+ files \(\d+ bytes\) merged into \d+ \(\d+ bytes\), "
        r"0 snapshots expired, 0 orphan files \(0 bytes\) deleted, 0 kept for now$",
        line,
    )


async def test_in_the_background_no_more_is_merged_at_once_than_memory_allows(
    lake: Lake, catalog: Catalog
) -> None:
    await append_each(lake, *(f"{number:02d}" for number in range(20)))
    size = max(file_rows(catalog)["file_size_in_bytes"].to_pylist())
    small = MaintenancePolicy(Retention(), background_bytes=10 * size)
    maintenance = Maintenance(catalog, small)
    await asyncio.to_thread(maintenance.compact, ORDERS, everything=False)
    assert len(file_rows(catalog)) == 2
    assert maintenance.summary.files_merged == 20


async def test_rows_that_compress_well_are_not_all_in_memory_at_once(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(10):
        await lake.append(batch(decoder, {"label": "x" * 200_000}))
    sizes: list[int] = []
    reading = read_data_files

    def noted(*args: object) -> Read:
        read = reading(*args)  # type: ignore[arg-type] # passed on as they are
        sizes.append(read.rows.nbytes)
        return read

    monkeypatch.setattr(compaction, "read_data_files", noted)
    policy = MaintenancePolicy(Retention(), background_bytes=200_000)
    await asyncio.to_thread(Maintenance(catalog, policy).compact, ORDERS, everything=False)
    assert len(sizes) == 3
    assert max(sizes) <= 4 * 200_000
    assert len(file_rows(catalog)) == 4  # three of three, and one that is left
    assert labels(catalog) == duckdb_rows(catalog) == ["x" * 200_000] * 10


async def test_progress_is_reported(lake: Lake, catalog: Catalog) -> None:
    await append_each(lake, "a", "b")
    told: list[Progress] = []
    await asyncio.to_thread(Maintenance(catalog, POLICY, told.append).run)
    assert [(each.step, each.done, each.total) for each in told] == [
        ("compact", 0, 1),
        ("compact", 1, 1),
        ("sweep", 0, 1),
        ("sweep", 1, 1),
    ]
