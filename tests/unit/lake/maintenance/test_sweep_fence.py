"""Sweeps during commits: no commit references a file that was deleted after a fence."""

import asyncio
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import DataFile
from tests.testing.lines import ORDERS
from tests.testing.passing_clock import HOUR, PassingClock
from tests.testing.reading import duckdb_rows, labels, load
from tests.testing.sweeping import AT_ONCE, OURS, append_each, leave, maintain, sweep

from lakegate.concurrency.retry import RetryPolicy
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.commit import preparation
from lakegate.lake.commit.prepared_group import PreparedGroup
from lakegate.lake.files.data_files import write_data_files
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance import compaction, fencing
from lakegate.lake.maintenance.maintain import Maintenance, Summary
from lakegate.settings import Settings


async def test_nothing_is_deleted_if_no_fence_can_be_committed(
    lake: Lake, catalog: Catalog, time: PassingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a")
    orphan = leave(catalog, OURS)
    await sweep(catalog)
    time.pass_(HOUR + 60)
    swap = LeanSqlCatalog._swap

    def meet_a_conflict(self: LeanSqlCatalog, *args: object) -> None:
        monkeypatch.setattr(LeanSqlCatalog, "_swap", swap)
        load(catalog).append(pa.table({"label": ["b"]}))
        monkeypatch.setattr(LeanSqlCatalog, "_swap", meet_a_conflict)
        swap(self, *args)  # type: ignore[arg-type] # passed on as they are

    monkeypatch.setattr(fencing, "MAINTENANCE_COMMIT", RetryPolicy(2))
    monkeypatch.setattr(LeanSqlCatalog, "_swap", meet_a_conflict)
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
    """The base of the commit is read after the sweep, so the catalog detects no conflict."""
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


@pytest.mark.parametrize("removed", ["before the next fence", "after the first fence"])
async def test_a_fence_holds_although_its_property_was_removed(
    removed: str, lake: Lake, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a")
    committer = lake._committer(ORDERS)
    commit = committer._commit
    if removed == "before the next fence":
        leave(catalog, OURS)
        await sweep(catalog, AT_ONCE)
        committer.table.forget()
    swept: list[Summary] = []

    async def sweep_first(prepared: PreparedGroup) -> None:
        monkeypatch.setattr(committer, "_commit", commit)
        if removed == "before the next fence":
            load(catalog).transaction().remove_properties("lakegate.fence").commit_transaction()
        swept.append(await sweep(catalog, AT_ONCE))
        if removed == "after the first fence":
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
    # Two decoders: the files of the second are written for a state after the sweep.
    await asyncio.gather(append_each(lake, "b"), append_each(lake, "c"))
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]


async def test_a_merge_whose_file_was_swept_is_left_for_a_later_run(
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


async def test_pyiceberg_commits_after_a_fence(
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
