"""The sweep: what nothing references any more is deleted, and nothing else."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.passing_clock import DAY, HOUR, PassingClock
from tests.testing.reading import duckdb_rows, labels, load

from lakegate.concurrency.retry import RetryPolicy
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.commit import preparation
from lakegate.lake.commit.prepared_group import PreparedGroup
from lakegate.lake.files.data_files import write_data_files
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance import compaction, fencing
from lakegate.lake.maintenance.maintain import Maintenance, Summary
from lakegate.lake.maintenance.marks import MARKS
from lakegate.lake.maintenance.policy import Graces, MaintenancePolicy
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings

POLICY = MaintenancePolicy(Retention())
AT_ONCE = MaintenancePolicy(Retention(), graces=Graces(0, 0))
OURS = "data/lakegate-left-behind.parquet"
THEIRS = "data/00000-left-behind.parquet"


async def append_each(lake: Lake, *names: str) -> None:
    for name in names:
        await lake.append(batch(LinesDecoder(), {"label": name}))


async def maintain(catalog: Catalog, policy: MaintenancePolicy = POLICY) -> Summary:
    return await asyncio.to_thread(Maintenance(catalog, policy).run)


async def sweep(catalog: Catalog, policy: MaintenancePolicy = POLICY) -> Summary:
    maintenance = Maintenance(catalog, policy)
    await asyncio.to_thread(maintenance.sweep, ORDERS)
    return maintenance.summary


def folder(catalog: Catalog) -> Path:
    return Path(load(catalog).location().removeprefix("file://"))


def leave(catalog: Catalog, path: str) -> Path:
    """Leave a file below the table's location that is as old as can be."""
    orphan = folder(catalog) / path
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"rows of an attempt that failed")
    os.utime(orphan, (1, 1))
    return orphan


def data_files(catalog: Catalog) -> set[Path]:
    return set((folder(catalog) / "data").rglob("*.parquet"))


async def test_a_file_goes_when_it_was_unreferenced_for_the_grace_period_however_old_it_is(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    assert (await maintain(catalog)).orphans_deleted == 0
    time.pass_(HOUR - 60)
    assert (await maintain(catalog)).orphans_deleted == 0
    assert orphan.exists()
    time.pass_(120)
    done = await maintain(catalog)
    assert not orphan.exists()
    assert (done.orphans_deleted, done.orphan_bytes) == (1, 30)
    assert labels(catalog) == duckdb_rows(catalog) == ["a"]


async def test_a_file_that_a_merge_replaced_stays_for_those_who_had_planned_to_read_it(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a", "b", "c")
    planned = [task.file.file_path for task in load(catalog).scan().plan_files()]
    policy = MaintenancePolicy(Retention(count=1, least_age_ms=0, others_age_ms=-1))
    time.pass_(DAY)  # the files are old already when the merge replaces them
    await maintain(catalog, policy)
    await maintain(catalog, policy)
    assert len(load(catalog).snapshots()) == 1
    assert {path.as_uri() for path in data_files(catalog)} > set(planned)
    time.pass_(HOUR + 60)
    await maintain(catalog, policy)
    assert len(data_files(catalog)) == 1
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]


async def test_another_engine_may_commit_its_file_within_three_days(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    theirs = leave(catalog, THEIRS)
    source = next(iter(data_files(catalog) - {theirs}))
    theirs.write_bytes(source.read_bytes())
    for _ in range(5):
        await maintain(catalog)
        time.pass_(DAY / 2)
    load(catalog).add_files([theirs.as_uri()])
    time.pass_(DAY)
    await maintain(catalog)
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "a"]


async def test_a_file_of_another_engine_that_never_commits_goes_after_three_days(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    theirs = leave(catalog, THEIRS)
    await sweep(catalog)
    time.pass_(3 * DAY + 60)
    assert (await sweep(catalog)).orphans_deleted == 1
    assert not theirs.exists()


async def test_what_other_tools_keep_beside_the_data_stays(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    kept = [
        leave(catalog, path)
        for path in ("_delta_log/0.json", "data/.hidden", "metadata/version-hint.text")
    ]
    for _ in range(3):
        await sweep(catalog)
        time.pass_(4 * DAY)
    assert all(path.exists() for path in kept)


async def test_the_sweep_deletes_nothing_that_any_snapshot_needs(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, *"abcdefghijklmnop")
    snapshots = [str(snapshot.snapshot_id) for snapshot in load(catalog).snapshots()]
    seen = [labels(catalog, snapshot_id=snapshot) for snapshot in snapshots]
    orphan = leave(catalog, OURS)
    await maintain(catalog)
    time.pass_(4 * DAY)
    await maintain(catalog)
    assert not orphan.exists()
    assert [labels(catalog, snapshot_id=snapshot) for snapshot in snapshots] == seen
    assert labels(catalog) == duckdb_rows(catalog) == list("abcdefghijklmnop")


async def test_a_file_that_is_referenced_again_begins_its_time_anew(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    (source,) = data_files(catalog)
    again = leave(catalog, OURS)
    again.write_bytes(source.read_bytes())
    await sweep(catalog)
    load(catalog).add_files([again.as_uri()])
    await sweep(catalog)
    load(catalog).delete("label = 'a'")
    with load(catalog).maintenance.expire_snapshots() as expire:
        expire.by_ids([each.snapshot_id for each in load(catalog).snapshots()[:-1]])
    time.pass_(HOUR + 60)
    await sweep(catalog)
    assert again.exists()
    time.pass_(HOUR + 60)
    await sweep(catalog)
    assert not again.exists()


@pytest.mark.parametrize("damage", [b"", b"PAR1 not Parquet PAR1", None])
async def test_marks_that_are_lost_or_damaged_begin_anew(
    damage: bytes | None, lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    await sweep(catalog)
    marks = folder(catalog) / MARKS
    if damage is None:
        marks.unlink()
    else:
        marks.write_bytes(damage)
    time.pass_(HOUR + 60)
    await sweep(catalog)
    assert orphan.exists()
    time.pass_(HOUR + 60)
    await sweep(catalog)
    assert not orphan.exists()


async def test_a_clock_that_was_ahead_keeps_no_file_for_ever(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    time.pass_(1000 * DAY)
    await sweep(catalog)
    time.pass_(-1000 * DAY)
    await sweep(catalog)
    time.pass_(HOUR + 60)
    await sweep(catalog)
    assert not orphan.exists()


async def test_an_idle_table_comes_to_rest(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, *"abcdefghijkl")
    leave(catalog, OURS)
    for _ in range(10):
        await maintain(catalog)
        time.pass_(4 * DAY)
    resting = load(catalog).metadata_location
    for _ in range(5):
        await maintain(catalog)
        time.pass_(4 * DAY)
    assert load(catalog).metadata_location == resting
    assert len(data_files(catalog)) == 1
    assert labels(catalog) == duckdb_rows(catalog) == list("abcdefghijkl")


async def test_nothing_is_deleted_where_no_fence_can_be_put_up(
    lake: Lake, catalog: Catalog, time: PassingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    await sweep(catalog)
    time.pass_(HOUR + 60)
    swap = LeanSqlCatalog._swap

    def be_slower(self: LeanSqlCatalog, *args: object) -> None:
        monkeypatch.setattr(LeanSqlCatalog, "_swap", swap)
        load(catalog).append(pa.table({"label": ["b"]}))
        monkeypatch.setattr(LeanSqlCatalog, "_swap", be_slower)
        swap(self, *args)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(fencing, "MAINTENANCE_COMMIT", RetryPolicy(2))
    monkeypatch.setattr(LeanSqlCatalog, "_swap", be_slower)
    assert (await sweep(catalog)).orphans_deleted == 0
    assert orphan.exists()
    monkeypatch.undo()
    assert (await sweep(catalog)).orphans_deleted == 1


async def test_a_commit_whose_files_were_swept_before_the_catalog_had_it_writes_them_again(
    lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a")
    swap = LeanSqlCatalog._swap
    maintenance = Maintenance(catalog, AT_ONCE)

    def stall_once(self: LeanSqlCatalog, *args: object) -> None:
        monkeypatch.setattr(LeanSqlCatalog, "_swap", swap)
        maintenance.sweep(ORDERS)
        swap(self, *args)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(LeanSqlCatalog, "_swap", stall_once)
    await append_each(lake, "b")
    # The data file, its manifest, the manifest list, and the metadata file.
    assert maintenance.summary.orphans_deleted == 4
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b"]


async def test_a_group_that_was_written_before_a_sweep_and_commits_after_it_is_written_again(
    lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base of the commit is read after the sweep: no guard of the catalog can help."""
    await append_each(lake, "a")
    committer = lake._committer(ORDERS)
    commit = committer._commit
    swept: list[Summary] = []

    async def sweep_first(prepared: PreparedGroup) -> None:
        monkeypatch.setattr(committer, "_commit", commit)
        swept.append(await sweep(catalog, AT_ONCE))
        committer.table.forget()
        await commit(prepared)

    monkeypatch.setattr(committer, "_commit", sweep_first)
    await append_each(lake, "b")
    assert [each.orphans_deleted for each in swept] == [1]
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b"]


@pytest.mark.parametrize("taken_away", ["before the next fence", "after the first fence"])
async def test_a_fence_holds_though_somebody_takes_its_property_away(
    taken_away: str, lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a")
    committer = lake._committer(ORDERS)
    commit = committer._commit
    if taken_away == "before the next fence":
        leave(catalog, OURS)
        await sweep(catalog, AT_ONCE)
        committer.table.forget()
    swept: list[Summary] = []

    async def sweep_first(prepared: PreparedGroup) -> None:
        monkeypatch.setattr(committer, "_commit", commit)
        if taken_away == "before the next fence":
            load(catalog).transaction().remove_properties("lakegate.fence").commit_transaction()
        swept.append(await sweep(catalog, AT_ONCE))
        if taken_away == "after the first fence":
            load(catalog).transaction().remove_properties("lakegate.fence").commit_transaction()
        committer.table.forget()
        await commit(prepared)

    monkeypatch.setattr(committer, "_commit", sweep_first)
    await append_each(lake, "b")
    assert swept[0].orphans_deleted > 0
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b"]


async def test_a_group_is_as_old_as_the_first_of_its_files(
    lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a")
    table = lake._committer(ORDERS).table

    def write_then_sweep(*args: Any) -> list[DataFile]:
        monkeypatch.undo()
        files = write_data_files(*args)
        Maintenance(catalog, AT_ONCE).sweep(ORDERS)
        table.forget()
        return files

    monkeypatch.setattr(preparation, "write_data_files", write_then_sweep)
    # A decoder each: the files of the second are written for a state after the sweep.
    await asyncio.gather(append_each(lake, "b"), append_each(lake, "c"))
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]


async def test_a_merge_whose_file_was_swept_is_left_for_another_day(
    lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a", "b")

    def write_then_sweep(*args: Any) -> list[DataFile]:
        files = write_data_files(*args)
        Maintenance(catalog, AT_ONCE).sweep(ORDERS)
        return files

    monkeypatch.setattr(compaction, "write_data_files", write_then_sweep)
    assert (await maintain(catalog)).files_merged == 0
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b"]
    monkeypatch.undo()
    assert (await maintain(catalog)).files_merged == 2
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b"]


async def test_tables_are_swept_in_the_background_even_when_idle(
    settings: Settings, catalog: Catalog, time: PassingClock
) -> None:
    often = settings.model_copy(update={"maintenance_interval_seconds": 0.05})
    lake = Lake(open_catalog(settings.catalog, settings.home), often)
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    async with asyncio.timeout(30):
        while orphan.exists():
            time.pass_(HOUR + 60)
            await asyncio.sleep(0.05)
    await append_each(lake, "b")
    await lake.close()
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b"]


async def test_a_table_that_forbids_deleting_files_keeps_them(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    shape = TableDefinition(properties={"gc.enabled": "false"})
    await lake.ensure_table(ORDERS, COLUMNS, shape)
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    for _ in range(3):
        await maintain(catalog)
        time.pass_(4 * DAY)
    assert orphan.exists()


async def test_pyiceberg_goes_on_where_a_fence_was_put_up(
    lake: Lake, settings: Settings, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    leave(catalog, OURS)
    await sweep(catalog)
    time.pass_(HOUR + 60)
    await sweep(catalog)
    uri = f"sqlite:///{settings.home}/catalog.db"
    with SqlCatalog(settings.catalog, uri=uri) as theirs:
        load(theirs).append(pa.table({"label": ["b"]}))
        load(theirs).delete("label = 'a'")
    await append_each(lake, "c")
    assert labels(catalog) == duckdb_rows(catalog) == ["b", "c"]
