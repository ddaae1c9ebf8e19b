"""The sweep deletes the files that nothing references, and no others."""

import asyncio

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import COLUMNS, ORDERS
from tests.testing.passing_clock import DAY, HOUR, PassingClock
from tests.testing.reading import duckdb_rows, labels, load
from tests.testing.sweeping import (
    OURS,
    THEIRS,
    append_each,
    data_files,
    leave,
    location,
    maintain,
    sweep,
)

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.marks import MARKS
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings


async def test_a_file_is_deleted_after_a_grace_period_without_references_regardless_of_its_age(
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


async def test_a_file_that_a_merge_replaced_is_kept_for_readers_that_have_planned_with_it(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a", "b", "c")
    planned = [task.file.file_path for task in load(catalog).scan().plan_files()]
    policy = MaintenancePolicy(Retention(count=1, min_age_ms=0, others_age_ms=-1))
    time.pass_(DAY)  # the files are old when the merge replaces them
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


async def test_a_file_of_another_engine_that_never_commits_is_deleted_after_three_days(
    lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    theirs = leave(catalog, THEIRS)
    await sweep(catalog)
    time.pass_(3 * DAY + 60)
    assert (await sweep(catalog)).orphans_deleted == 1
    assert not theirs.exists()


async def test_hidden_files_of_other_tools_are_kept(
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


async def test_a_new_reference_restarts_the_grace_period_of_a_file(
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
async def test_lost_or_damaged_marks_are_started_again(
    damage: bytes | None, lake: Lake, catalog: Catalog, time: PassingClock
) -> None:
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    await sweep(catalog)
    marks = location(catalog) / MARKS
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


async def test_a_clock_that_was_ahead_does_not_keep_a_file_for_ever(
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


async def test_maintenance_of_an_idle_table_ends(
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
    definition = TableDefinition(properties={"gc.enabled": "false"})
    await lake.ensure_table(ORDERS, COLUMNS, definition)
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    for _ in range(3):
        await maintain(catalog)
        time.pass_(4 * DAY)
    assert orphan.exists()
