"""A writer is killed: nothing acknowledged is lost, nothing is half visible or doubled."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from tests.testing.reading import duckdb_rows, load
from tests.testing.servers.writer import STEPS, Fault, Work, acknowledged, refused, start

from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import GracePeriods, MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings

# LAKEGATE_TEST_KILLS=200 kills more.
KILLS = int(os.environ.get("LAKEGATE_TEST_KILLS", "20"))


def read(catalog: Catalog) -> Counter[str]:
    try:
        return Counter(duckdb_rows(catalog))
    except NoSuchTableError:
        return Counter()


def files(warehouse: Path) -> set[str]:
    return {path.name for path in warehouse.rglob("*") if path.is_file()}


def referenced(catalog: Catalog) -> set[str]:
    """Return the names of the files that the table's snapshots and its metadata log reference."""
    table = load(catalog)
    needed = {
        table.metadata_location,
        *(entry.metadata_file for entry in table.metadata.metadata_log),
    }
    for snapshot in table.snapshots():
        needed.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            needed.add(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io)
            needed.update(entry.data_file.file_path for entry in entries)
    return {location.rpartition("/")[2] for location in needed}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_writer_killed_at_a_step_of_its_commit_loses_and_doubles_nothing(
    step: str, when: str, settings: Settings, catalog: Catalog
) -> None:
    fault = Fault(step, after=when == "after", nth=3)
    killed = Work(settings, settings.home / "killed.log", "killed", fault=fault)
    process = start(killed)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    rows = read(catalog)
    assert len(acknowledged(killed)) in {1, 2}
    assert set(acknowledged(killed)) <= set(rows)
    assert rows.total() - len(acknowledged(killed)) in {
        0,
        1,
    }  # the last may not have been acknowledged
    assert max(rows.values()) == 1

    next_one = Work(settings, settings.home / "next.log", "next", batches=3)
    process = start(next_one)
    process.join(60)
    assert len(acknowledged(next_one)) == 3
    assert read(catalog) == rows + Counter(acknowledged(next_one))

    Maintenance(catalog, MaintenancePolicy(Retention(), grace_periods=GracePeriods(0, 0))).run()
    assert files(settings.warehouse) == referenced(catalog)
    assert read(catalog) == rows + Counter(acknowledged(next_one))


def test_writers_killed_at_random_lose_and_double_nothing(
    settings: Settings, catalog: Catalog
) -> None:
    chance = random.Random(4)  # noqa: S311 - no secret
    works = []
    for number in range(KILLS):
        work = Work(settings, settings.home / f"{number}.log", str(number), 8, 1000)
        works.append(work)
        process = start(work)
        while not acknowledged(work):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.join()
    acks = Counter(label for work in works for label in acknowledged(work))
    rows = read(catalog)
    assert not [error for work in works for error in refused(work)]
    assert not acks - rows
    assert max(rows.values()) == 1
    # Of each writer, at most one group was in the table and not acknowledged yet.
    assert (rows - acks).total() <= 8 * KILLS
