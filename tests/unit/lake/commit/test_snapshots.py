"""What a commit leaves behind: summary, sequence numbers, statistics, few manifests and files."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestFile
from pyiceberg.table.snapshots import Operation, ancestors_between_ids
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.reading import duckdb_rows, file_rows, labels, load

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.lake import Lake
from lakegate.lake.table import removed_metadata
from lakegate.lake.table import state as state_module
from lakegate.lake.table.definition import TableDefinition
from lakegate.model import Body, DecodedGroup, TableName
from lakegate.settings import Settings


async def test_the_summary_counts_what_was_added_and_what_is_there(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    done = await lake.append(batch(decoder, {"label": "b"}, {"label": "c"}))
    snapshot = load(catalog).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation is Operation.APPEND
    sizes = file_rows(catalog)["file_size_in_bytes"].to_pylist()
    expected = {
        "added-data-files": "1",
        "added-records": "2",
        "added-files-size": str(done.bytes_written),
        "total-data-files": "2",
        "total-records": "3",
        "total-files-size": str(sum(sizes)),
        "total-delete-files": "0",
    }
    summary = snapshot.summary.additional_properties
    assert {name: summary[name] for name in expected} == expected
    assert len(summary["lakegate.commit-id"]) == 36


async def test_each_snapshot_follows_the_one_before(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    for name in "abc":
        await lake.append(batch(decoder, {"label": name}))
    snapshots = load(catalog).snapshots()
    assert [snapshot.sequence_number for snapshot in snapshots] == [1, 2, 3]
    parents = [snapshot.parent_snapshot_id for snapshot in snapshots]
    assert parents == [None, snapshots[0].snapshot_id, snapshots[1].snapshot_id]
    entries = load(catalog).inspect.entries()
    assert sorted(entries["sequence_number"].to_pylist()) == [1, 2, 3]


async def test_statistics_let_engines_skip_files(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    for day in (1, 2, 3):
        at = datetime(2026, 1, day, tzinfo=UTC).isoformat()
        await lake.append(batch(decoder, {"label": f"day {day}", "at": at}, {"label": None}))
    scan = load(catalog).scan("at >= '2026-01-03T00:00:00+00:00'")
    assert [task.file.record_count for task in scan.plan_files()] == [2]
    metrics: list[dict[str, Any]] = file_rows(catalog)["readable_metrics"].to_pylist()
    assert {each["label"]["null_value_count"] for each in metrics} == {1}
    assert sorted(each["label"]["lower_bound"] for each in metrics) == ["day 1", "day 2", "day 3"]


async def test_a_commit_is_one_call_at_the_catalog(
    lake: Lake, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    calls: list[str] = []
    for method in ("commit_table", "load_table", "table_exists", "namespace_exists"):
        original = getattr(LeanSqlCatalog, method)

        def counted(*args: Any, method: str = method, original: Any = original) -> Any:
            calls.append(method)
            return original(*args)

        monkeypatch.setattr(LeanSqlCatalog, method, counted)
    await lake.append(batch(decoder, {"label": "b"}))
    assert calls == ["commit_table"]


async def test_a_statement_of_another_engine_finds_the_way_back_to_where_it_began(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    few = settings.model_copy(update={"snapshots_kept": 10, "snapshots_kept_seconds": 3600})
    lake = Lake(open_catalog(settings.catalog, settings.home), few)
    began = await lake.append(batch(decoder, {"label": "x"}))
    for _ in range(40):
        ended = await lake.append(batch(decoder, {"label": "x"}))
    await lake.close()
    metadata = load(catalog).metadata
    chain = ancestors_between_ids(int(began.snapshot_id), int(ended.snapshot_id), metadata)
    assert len(list(chain)) == 40


async def test_manifests_and_snapshots_stay_few(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    few = settings.model_copy(update={"snapshots_kept": 10, "snapshots_kept_seconds": 0})
    lake = Lake(open_catalog(settings.catalog, settings.home), few)
    names = [f"{number:03d}" for number in range(120)]
    for name in names:
        await lake.append(batch(decoder, {"label": name}))
    await lake.close()
    table = load(catalog)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) < 20
    assert len(table.snapshots()) == 11
    assert len(table.metadata.snapshot_log) == 11
    assert len(table.metadata.metadata_log) <= 20
    assert labels(catalog) == duckdb_rows(catalog) == names


async def test_manifests_are_left_alone_where_the_table_says_so(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    shape = TableDefinition(properties={"commit.manifest-merge.enabled": "false"})
    await lake.ensure_table(ORDERS, COLUMNS, shape)
    for number in range(12):
        await lake.append(batch(decoder, {"label": str(number)}))
    table = load(catalog)
    assert len(table.current_snapshot().manifests(table.io)) == 12  # type: ignore[union-attr] # there is one


async def test_manifests_written_here_are_merged_without_reading_them(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> NoReturn:
        raise AssertionError("a manifest was read")

    names = [f"{number:03d}" for number in range(105)]
    with monkeypatch.context() as patch:
        patch.setattr(ManifestFile, "fetch_manifest_entry", read)
        for name in names:
            await lake.append(batch(decoder, {"label": name}))
    table = load(catalog)
    files = table.inspect.entries().to_pylist()
    assert len(files) == len(names)
    assert sorted(entry["sequence_number"] for entry in files) == list(range(1, 106))
    assert len({entry["snapshot_id"] for entry in files}) == len(names)
    assert labels(catalog) == duckdb_rows(catalog) == names


async def test_what_is_in_manifests_is_kept_as_far_as_memory_allows(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "MAX_CACHED_VALUES", 10)
    for number in range(25):
        await lake.append(batch(decoder, {"label": f"{number:02d}"}))
    state = await lake._committer(ORDERS).table.state()
    assert state is not None
    assert sum(map(len, state.entries.values())) == 10 // len(state.arrow_schema)
    assert labels(catalog) == duckdb_rows(catalog) == [f"{n:02d}" for n in range(25)]


async def test_merged_manifests_keep_what_other_partition_specs_wrote(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "0"}))
    with load(catalog).update_spec() as update:
        update.add_identity("label")
    names = [str(number) for number in range(30)]
    for name in names[1:]:
        await lake.append(batch(decoder, {"label": name}))
    assert labels(catalog) == duckdb_rows(catalog) == sorted(names)


async def test_old_metadata_files_are_deleted_when_no_reader_can_want_them(
    lake: Lake, settings: Settings, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        await lake.append(batch(decoder, {"label": str(number)}))
    assert len(metadata_files(settings)) > 30  # each may still be read
    monkeypatch.setattr(removed_metadata, "GRACE_SECONDS", 0.0)
    for number in range(30):
        await lake.append(batch(decoder, {"label": str(number)}))
    await lake._committer(ORDERS).drain()
    # The current one, those of the log, and at most one batch that waits.
    assert len(metadata_files(settings)) <= 1 + 20 + removed_metadata.BATCH


def metadata_files(settings: Settings) -> list[Path]:
    return list(settings.warehouse.rglob("*.metadata.json"))


async def test_a_table_of_another_engine_is_written_where_its_properties_say(
    lake: Lake, settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    catalog.create_namespace("default")
    elsewhere = settings.warehouse.absolute().as_uri() + "/elsewhere"
    catalog.create_table("default.orders", COLUMNS, properties={"write.data.path": elsewhere})
    await lake.append(batch(decoder, {"label": "a"}))
    (path,) = file_rows(catalog)["file_path"].to_pylist()
    assert path.startswith(elsewhere)
    assert duckdb_rows(catalog) == ["a"]


async def test_many_tables_are_written_at_once(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    names = [TableName("default", f"t{number}") for number in range(20)]
    await asyncio.gather(
        *(lake.append(batch(decoder, {"label": "a"}, table=name)) for name in names * 3)
    )
    assert all(labels(catalog, name) == ["a"] * 3 for name in names)


async def test_a_time_beyond_the_calendar_is_committed_without_bounds(
    lake: Lake, catalog: Catalog
) -> None:
    class FarFuture(LinesDecoder):
        def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
            decoded = super().decode(bodies, schema)
            at = pa.array([2**62], pa.int64()).cast(schema.field("at").type)
            rows = decoded.rows.set_column(0, schema.field("at"), at)
            return DecodedGroup(rows, decoded.outcomes)

    await lake.append(batch(FarFuture(), {"label": "late"}))
    (metrics,) = load(catalog).inspect.files()["lower_bounds"].to_pylist()
    assert not metrics
    assert duckdb_rows(catalog) == ["late"]
