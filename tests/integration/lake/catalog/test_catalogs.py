"""The same commits on every kind of catalog: SQLite, PostgreSQL, REST over HTTP."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import CommitTableResponse
from pyiceberg.types import StringType
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.passing_clock import passing_clock
from tests.testing.postgres import new_database, running_postgres
from tests.testing.reading import duckdb_rows, file_rows, labels, load
from tests.testing.rest_catalog import rest_catalog

from lakegate.errors import LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.commit import removable
from lakegate.lake.commit.prepared_group import PreparedGroup
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import GracePeriods, MaintenancePolicy
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.state import TableState, load_state
from lakegate.model import Body, DecodedGroup
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


async def test_two_servers_at_once_lose_and_duplicate_no_rows(
    lake: Lake, settings: Settings, catalog: Catalog
) -> None:
    other = Lake(open_catalog(settings.catalog, settings.home), settings)

    async def send(lake: Lake, prefix: str) -> None:
        for number in range(15):
            await lake.append(batch(LinesDecoder(), {"label": f"{prefix}{number:02d}"}))

    await asyncio.gather(send(lake, "a"), send(other, "b"))
    await other.close()
    assert labels(catalog) == [f"{p}{n:02d}" for p in "ab" for n in range(15)]


async def test_a_new_column_from_a_server_that_is_behind_keeps_the_rows_of_the_others(
    lake: Lake, settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    other = Lake(open_catalog(settings.catalog, settings.home), settings)
    for number in range(5):
        await other.append(batch(LinesDecoder(), {"label": f"b{number}"}))
    await other.close()
    await lake.append(batch(decoder, {"label": "c", "new": "x"}))
    expected = ["a", "b0", "b1", "b2", "b3", "b4", "c"]
    assert labels(catalog) == duckdb_rows(catalog) == expected


async def test_new_properties_from_a_server_that_is_behind_keep_the_rows_of_the_others(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    load_before = load_state

    def load_and_fall_behind(*arguments: Any) -> TableState:
        state = load_before(*arguments)
        load(catalog).append(pa.table({"label": ["b"]}))
        return state

    monkeypatch.setattr("lakegate.lake.table.tables.load_state", load_and_fall_behind)
    with contextlib.suppress(LakegateError):  # a conflict, on catalogs that see the later commit
        await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(properties={"user.team": "sales"}))
    await lake.append(batch(decoder, {"label": "c"}))
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]


async def test_a_catalog_that_answers_with_a_later_commit_of_another_engine_loses_nothing(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    commit = type(catalog).commit_table

    def answer_with_what_is_there_now(self: Catalog, *arguments: Any) -> CommitTableResponse:
        commit(self, *arguments)
        monkeypatch.undo()
        load(catalog).append(pa.table({"label": ["theirs"]}))
        table = load(catalog)
        return CommitTableResponse(
            metadata=table.metadata, metadata_location=table.metadata_location
        )

    monkeypatch.setattr(type(catalog), "commit_table", answer_with_what_is_there_now)
    await lake.append(batch(decoder, {"label": "b"}))
    await lake.append(batch(decoder, {"label": "c"}))
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c", "theirs"]


async def test_a_value_survives_when_another_engine_drops_its_column_meanwhile(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a", "extra": "x"}))
    with load(catalog).update_schema() as update:
        update.delete_column("extra")
    await lake.append(batch(decoder, {"label": "b", "extra": "y"}))  # prepared with the column
    with load(catalog).update_schema() as update:
        update.delete_column("extra")
    with load(catalog).update_schema() as update:
        update.add_column("extra", StringType())
    await lake.append(batch(decoder, {"label": "c", "extra": "z"}))
    rows = duckdb_rows(catalog, "label, extra")
    assert rows == [("a", None), ("b", None), ("c", "z")]


@pytest.mark.parametrize("before", [[], ["label"]], ids=["added", "removed"])
async def test_a_partitioning_that_changes_between_two_formats_of_a_group_is_that_of_all(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, before: list[str]
) -> None:
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=before))
    await lake.append(batch(decoder, {"label": "a"}))

    class Meddling(LinesDecoder):
        def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
            if not self.calls:
                with load(catalog).update_spec() as update:
                    _ = update.remove_field("label") if before else update.add_identity("label")
            return super().decode(bodies, schema)

    # The second brings a column, so the table is read again after its files were planned.
    await asyncio.gather(
        lake.append(batch(decoder, {"label": "b"})),
        lake.append(batch(Meddling(), {"label": "c", "new": "x"})),
    )
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]
    for label in "bc":  # a query that is pruned by the partitions
        rows = load(catalog).scan(row_filter=f"label == '{label}'").to_arrow()
        assert rows["label"].to_pylist() == [label]


async def test_a_tag_of_another_engine_keeps_its_snapshot(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    few = settings.model_copy(update={"snapshots_kept": 1, "snapshots_kept_seconds": 0.0})
    lake = Lake(open_catalog(settings.catalog, settings.home), few)
    with passing_clock() as time:
        await lake.append(batch(decoder, {"label": "a"}))
        await lake.append(batch(decoder, {"label": "b"}))
        tagged = load(catalog).snapshots()[0].snapshot_id
        time.pass_(5)  # the server uses its cached state
        load(catalog).manage_snapshots().create_tag(tagged, "audit").commit()
        for number in range(3):
            await lake.append(batch(decoder, {"label": str(number)}))
            time.pass_(5)
    await lake.close()
    table = load(catalog)
    assert table.metadata.refs["audit"].snapshot_id == tagged
    assert table.scan(snapshot_id=tagged).to_arrow()["label"].to_pylist() == ["a"]


async def test_snapshots_past_retention_expire_with_the_commit(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the state that a commit is based on may be older than that.
    monkeypatch.setattr(removable, "FRESH_SECONDS", 600.0)
    few = settings.model_copy(update={"snapshots_kept": 3, "snapshots_kept_seconds": 0})
    lake = Lake(open_catalog(settings.catalog, settings.home), few)
    for number in range(8):
        await lake.append(batch(decoder, {"label": str(number)}))
    await lake.close()
    assert len(load(catalog).snapshots()) == 4  # three and the current one
    assert len(labels(catalog)) == 8


@pytest.mark.parametrize("base", ["before the sweep", "after the sweep"])
async def test_a_commit_references_no_file_that_a_sweep_has_deleted(
    base: str, lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    committer = lake._committer(ORDERS)
    commit = committer._commit
    maintenance = Maintenance(
        catalog, MaintenancePolicy(Retention(), grace_periods=GracePeriods(0, 0))
    )

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


def test_a_configured_sql_catalog_has_cheap_commits_too(
    settings: Settings, catalog: Catalog
) -> None:
    assert settings.catalog == catalog.name
    assert isinstance(catalog, LeanSqlCatalog) == (catalog.properties["type"] == "sql")
