"""The same commits on every kind of catalog: SQLite, PostgreSQL, REST over HTTP."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.postgres import new_database, running_postgres
from tests.unit.lake.lines import ORDERS, LinesDecoder, batch
from tests.unit.lake.reading import duckdb_rows, file_rows, labels, load
from tests.unit.lake.rest_catalog import rest_catalog

from lakegate.lake.catalog import open_catalog
from lakegate.lake.group import PreparedGroup
from lakegate.lake.lake import Lake
from lakegate.lake.lean_sql_catalog import LeanSqlCatalog
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import Graces, MaintenancePolicy
from lakegate.lake.retention import Retention
from lakegate.settings import Settings

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "rest"])
def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of a catalog that the environment describes, as a user would."""
    warehouse = tmp_path / "elsewhere"
    warehouse.mkdir()
    environment = {"WAREHOUSE": warehouse.as_uri()}
    if request.param == "rest":
        with rest_catalog(tmp_path) as uri:
            environment |= {"TYPE": "rest", "URI": uri}
            yield _settings(tmp_path, environment, monkeypatch)
        return
    if request.param == "postgresql":
        uri = new_database(request.getfixturevalue("postgres"), f"lake_{next(NUMBERS)}")
    else:
        uri = f"sqlite:///{tmp_path / 'elsewhere.db'}?timeout=30"
    yield _settings(tmp_path, environment | {"TYPE": "sql", "URI": uri}, monkeypatch)


def _settings(home: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__ELSEWHERE__{name}", value)
    return Settings(home=home, catalog="elsewhere")


async def test_rows_are_committed_widened_and_merged(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    for number in range(12):
        await lake.append(batch(decoder, {"label": f"{number:02d}", f"column_{number % 3}": "x"}))
    await asyncio.to_thread(Maintenance(catalog, MaintenancePolicy(Retention())).run)
    assert len(file_rows(catalog)) == 1
    await lake.append(batch(decoder, {"label": "last"}))
    assert labels(catalog) == duckdb_rows(catalog) == [*(f"{n:02d}" for n in range(12)), "last"]
    described = await lake.describe(ORDERS)
    assert (described.rows, described.data_files) == (13, 2)


async def test_two_servers_at_once_lose_and_double_nothing(
    lake: Lake, settings: Settings, catalog: Catalog
) -> None:
    other = Lake(open_catalog(settings.catalog, settings.home), settings)

    async def send(lake: Lake, prefix: str) -> None:
        for number in range(15):
            await lake.append(batch(LinesDecoder(), {"label": f"{prefix}{number:02d}"}))

    await asyncio.gather(send(lake, "a"), send(other, "b"))
    await other.close()
    assert labels(catalog) == [f"{p}{n:02d}" for p in "ab" for n in range(15)]


async def test_snapshots_past_retention_leave_with_the_commit(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    few = settings.model_copy(update={"snapshots_kept": 3, "snapshots_kept_seconds": 0})
    lake = Lake(open_catalog(settings.catalog, settings.home), few)
    for number in range(8):
        await lake.append(batch(decoder, {"label": str(number)}))
    await lake.close()
    assert len(load(catalog).snapshots()) == 4  # three and the current one
    assert len(labels(catalog)) == 8


@pytest.mark.parametrize("base", ["before the sweep", "after the sweep"])
async def test_a_commit_names_no_file_that_a_sweep_has_deleted(
    base: str, lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    committer = lake._committer(ORDERS)
    commit = committer._commit
    maintenance = Maintenance(catalog, MaintenancePolicy(Retention(), graces=Graces(0, 0)))

    async def sweep_first(prepared: PreparedGroup) -> None:
        monkeypatch.setattr(committer, "_commit", commit)
        await asyncio.to_thread(maintenance.sweep, ORDERS)
        if base == "after the sweep":
            committer.table.forget()
        await commit(prepared)

    monkeypatch.setattr(committer, "_commit", sweep_first)
    await lake.append(batch(decoder, {"label": "b"}))
    assert maintenance.summary.orphans_deleted >= 1
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b"]


def test_a_configured_sql_catalog_commits_lean_too(settings: Settings, catalog: Catalog) -> None:
    assert settings.catalog == catalog.name
    assert isinstance(catalog, LeanSqlCatalog) == (catalog.properties["type"] == "sql")
