"""Maintenance changes nothing in tables that are not managed."""

import asyncio
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.passing_clock import DAY, PassingClock
from tests.testing.reading import duckdb_rows, labels, load

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.managed import ManagedTable, UnmanagedTableError, load_managed
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.state import load_state
from lakegate.settings import Settings

EAGER = MaintenancePolicy(Retention(count=1, min_age_ms=0, others_age_ms=-1))


@pytest.fixture
def theirs(catalog: Catalog) -> Table:
    """A table of PyIceberg, with twelve snapshots and a file that is not committed yet."""
    catalog.create_namespace("default")
    table = catalog.create_table("default.orders", pa.schema([("label", pa.string())]))
    for number in range(12):
        table.append(pa.table({"label": [f"{number:02d}"]}))
    (folder(table) / "data" / "uncommitted.parquet").write_bytes(b"rows to come")
    (folder(table) / "data" / "lakegate-uncommitted.parquet").write_bytes(b"rows to come")
    return table


def folder(table: Table) -> Path:
    return Path(table.location().removeprefix("file://"))


def files(table: Table) -> set[Path]:
    return {path for path in folder(table).rglob("*") if path.is_file()}


async def test_maintenance_of_the_whole_catalog_does_not_change_an_unmanaged_table(
    catalog: Catalog, theirs: Table, time: PassingClock
) -> None:
    before = files(theirs)
    for _ in range(4):
        assert (await asyncio.to_thread(Maintenance(catalog, EAGER).run)).tables == 0
        time.pass_(4 * DAY)
    assert files(theirs) == before
    assert load(catalog).metadata_location == theirs.metadata_location


@pytest.mark.parametrize("step", ["compact", "expire", "sweep"])
async def test_no_step_of_maintenance_accepts_an_unmanaged_table(
    step: str, catalog: Catalog, theirs: Table, time: PassingClock
) -> None:
    before = files(theirs)
    time.pass_(10 * DAY)
    maintenance = Maintenance(catalog, EAGER)
    more = {"everything": True} if step == "compact" else {}
    with pytest.raises(UnmanagedTableError):
        getattr(maintenance, step)(ORDERS, **more)
    assert files(theirs) == before


async def test_an_unmanaged_table_with_ingest_keeps_its_files_and_snapshots(
    settings: Settings, catalog: Catalog, theirs: Table, time: PassingClock
) -> None:
    kept, before = [each.snapshot_id for each in theirs.snapshots()], files(theirs)
    few = settings.model_copy(update={"snapshots_kept": 1, "snapshots_kept_seconds": 0})
    lake = Lake(open_catalog(settings.catalog, settings.home), few)
    for number in range(12):  # as many as it takes for a merge, were the table managed
        await lake.append(batch(LinesDecoder(), {"label": f"new-{number:02d}"}))
        await lake._maintenance.check()
        time.pass_(DAY)
    await lake.close()
    assert [each.snapshot_id for each in load(catalog).snapshots()][:12] == kept
    assert before <= files(theirs)
    assert len(load(catalog).inspect.files()) == 24
    assert (
        labels(catalog)
        == duckdb_rows(catalog)
        == sorted(
            [
                *(f"{number:02d}" for number in range(12)),
                *(f"new-{number:02d}" for number in range(12)),
            ]
        )
    )


async def test_its_owner_can_have_a_table_maintained_and_end_that(
    catalog: Catalog, theirs: Table
) -> None:
    theirs.transaction().set_properties({"lakegate.managed": "true"}).commit_transaction()
    summary = await asyncio.to_thread(Maintenance(catalog, EAGER).run)
    assert (summary.tables, summary.files_merged) == (1, 12)
    managed = load_managed(catalog, ORDERS)
    load(catalog).transaction().remove_properties("lakegate.managed").commit_transaction()
    with pytest.raises(UnmanagedTableError):
        managed.reload(catalog)


def test_an_unmanaged_table_makes_no_managed_table(catalog: Catalog, theirs: Table) -> None:
    del theirs
    with pytest.raises(UnmanagedTableError):
        ManagedTable(load_state(catalog, ORDERS))
