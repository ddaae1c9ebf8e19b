"""Maintenance is killed: no row is lost or doubled, and the next run finishes the work."""

import signal

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.reading import duckdb_rows, file_rows, labels
from tests.testing.servers.writer import (
    MAINTENANCE_STEPS,
    Fault,
    Work,
    acknowledged,
    start,
    start_maintenance,
)

from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.settings import Settings


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", MAINTENANCE_STEPS)
def test_maintenance_killed_at_a_step_loses_nothing_and_its_next_run_finishes(
    step: str, when: str, settings: Settings, catalog: Catalog
) -> None:
    settings = settings.model_copy(update={"orphan_grace_seconds": 0})
    work = Work(settings, settings.home / "writer.log", "row", batches=12)
    start(work).join(60)
    orphan = next(settings.warehouse.rglob("data")) / "lakegate-orphan.parquet"
    orphan.write_bytes(b"left by an attempt that failed")
    orphan.with_name("theirs.parquet").write_bytes(b"to be committed by another engine")

    killed = start_maintenance(settings, Fault(step, after=when == "after", nth=1))
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    rows = sorted(acknowledged(work))
    assert labels(catalog) == duckdb_rows(catalog) == rows

    Maintenance(catalog, MaintenancePolicy.of(settings)).run()
    assert len(file_rows(catalog)) == 1
    assert not orphan.exists()
    assert labels(catalog) == duckdb_rows(catalog) == rows
