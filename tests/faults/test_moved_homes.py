"""A home that was copied or moved is refused: its tables name the files of the original."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table.update import SetLocationUpdate
from tests.testing.gate.running_gate import RunningGate, lakegate, running_gate
from tests.testing.lines import LinesDecoder, batch
from tests.testing.passing_clock import HOUR, PassingClock
from tests.testing.reading import labels, load

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.settings import Settings

COMMANDS = [["up"], ["serve"], ["maintain"], ["tables"], ["sql", "select * from orders"]]
ROWS = '{"label":"a"}'


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    with running_gate(tmp_path_factory.mktemp("moved") / "home") as gate:
        for _ in range(5):
            assert gate.ingest("orders", ROWS).status_code == 200
        yield gate


def files_in(home: Path) -> set[Path]:
    return {path for path in (home / "warehouse").rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_copy_beside_the_running_original_is_refused_and_nothing_is_deleted(
    original: RunningGate, tmp_path: Path, command: list[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original.home, copy)
    before = files_in(original.home)
    addresses = {"LAKEGATE_HTTP_ADDR": "127.0.0.1:0", "LAKEGATE_GRPC_ADDR": "127.0.0.1:0"}
    refused = lakegate(copy, *command, settings=addresses)
    assert refused.returncode == 1
    [line] = [line for line in refused.stderr.splitlines() if line.startswith("Error")]
    assert f"The home {copy} was copied or moved from {original.home}" in line
    assert f"LAKEGATE_HOME=NEW lakegate restore {copy}" in line
    assert "Traceback" not in refused.stderr
    assert files_in(original.home) == before
    assert len(original.rows("orders")) == 5


def test_a_home_that_was_moved_is_refused_until_it_is_moved_back(tmp_path: Path) -> None:
    home, moved = tmp_path / "home", tmp_path / "moved"
    with running_gate(home) as gate:
        assert gate.ingest("orders", ROWS).status_code == 200
    home.rename(moved)
    assert "was copied or moved" in lakegate(moved, "tables").stderr
    moved.rename(home)
    assert "default.orders  1 rows" in lakegate(home, "tables").stdout


def test_a_home_is_the_same_through_a_symbolic_link(tmp_path: Path) -> None:
    home, link = tmp_path / "home", tmp_path / "link"
    with running_gate(home) as gate:
        assert gate.ingest("orders", ROWS).status_code == 200
    link.symlink_to(home)
    with running_gate(link) as gate:
        assert gate.ingest("orders", ROWS).status_code == 200
        assert len(gate.rows("orders")) == 2
    assert lakegate(home, "maintain").returncode == 0


def test_a_copy_of_a_home_from_before_homes_were_recorded_is_refused(
    original: RunningGate, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(original.home, copy)
    with open_catalog("lakegate", original.home) as catalog:
        location = load(catalog).metadata_location
    _forget_the_home(copy)
    refused = lakegate(copy, "tables").stderr
    assert f"was copied or moved from {original.home}" in refused
    assert Path(location.removeprefix("file://")).exists()


def _forget_the_home(home: Path) -> None:
    with sqlite3.connect(home / "catalog.db") as connection:
        connection.execute("DROP TABLE lakegate_home")
    connection.close()


async def test_maintenance_deletes_nothing_outside_the_warehouse(
    settings: Settings, catalog: Catalog, tmp_path: Path, time: PassingClock
) -> None:
    """Also in a managed table whose metadata names another place."""
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    await lake.append(batch(LinesDecoder(), {"label": "a"}))
    await lake.close()
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    shutil.copytree(settings.warehouse, elsewhere)
    orphan = next(elsewhere.rglob("data")) / "lakegate-orphan.parquet"
    orphan.write_bytes(b"x")
    moved = SetLocationUpdate(location=f"file://{orphan.parent.parent}")
    catalog.commit_table(load(catalog), (), (moved,))
    maintenance = Maintenance(catalog, MaintenancePolicy.of(settings))
    maintenance.run()
    time.pass_(2 * HOUR)
    maintenance.run()
    assert orphan.exists()
    assert maintenance.summary.orphans_deleted == 0
    assert labels(catalog) == ["a"]
    with pytest.raises(PermissionError, match="not in the warehouse"):
        load(catalog).io.delete(f"file://{orphan}")
    assert orphan.exists()
