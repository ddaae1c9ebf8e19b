"""Spark works on tables that rows come into, and on tables of its own."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.engines.beside_ingest import Dialect, assert_engine_works_beside_ingest
from tests.testing.engines.rest_catalog import running_rest_catalog
from tests.testing.engines.spark_session import Spark, running_spark
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.reading import load
from tests.testing.servers.cluster import SHARED, running_cluster, shared_catalog

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.files.names import own_name
from lakegate.lake.lake import Lake
from lakegate.lake.table.location import exclusive_location
from lakegate.model import TableName
from lakegate.settings import Settings

DIALECT = Dialect("string", compact="CALL lake.system.rewrite_data_files('default.orders')")
THEIRS, FED = TableName("owned", "theirs"), TableName("owned", "fed")
INSERTS = 4
SWEEP_SECONDS = 180


@pytest.fixture(scope="module")
def rest_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_rest_catalog(tmp_path_factory.mktemp("rest")) as uri:
        yield uri


@pytest.fixture(scope="module")
def spark(rest_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    with running_spark(tmp_path_factory.mktemp("spark"), rest_uri) as spark:
        yield spark


@pytest.fixture
def settings(rest_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A server that tidies up as much and as soon as it may."""
    shared_catalog(monkeypatch, {"TYPE": "rest", "URI": rest_uri})
    settings = Settings(home=tmp_path, catalog=SHARED, snapshots_kept=1)
    eager = {"maintenance_interval_seconds": 0.1, "orphan_grace_seconds": 20.0}
    return settings.model_copy(update=eager)


async def test_spark_deletes_compacts_and_alters_beside_ingest(
    rest_uri: str, spark: Spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = shared_catalog(monkeypatch, {"TYPE": "rest", "URI": rest_uri})
    with running_cluster(tmp_path, settings) as cluster:
        await assert_engine_works_beside_ingest(spark, DIALECT, cluster)


async def test_tables_that_spark_made_are_not_tidied(spark: Spark, settings: Settings) -> None:
    spark.execute("CREATE NAMESPACE lake.owned")
    for table in (THEIRS, FED):
        spark.execute(f"CREATE TABLE lake.{table} (label string)")
        for number in range(INSERTS):
            spark.execute(f"INSERT INTO lake.{table} VALUES ('{number}')")  # noqa: S608 - its own words
    catalog = open_catalog(settings.catalog, settings.home)
    of_owner = {table: set(_snapshots(catalog, table)) for table in (THEIRS, FED)}
    uncommitted = [_old_file(catalog, table) for table in (THEIRS, FED)]
    files = _files(catalog, THEIRS)
    lake, decoder = Lake(open_catalog(settings.catalog, settings.home), settings), LinesDecoder()
    await lake.append(batch(decoder, {"label": "fed"}, table=FED))
    await lake.append(batch(decoder, {"label": "ours"}, table=ORDERS))
    await _deleted(_left_behind(catalog, ORDERS))  # all tables have had their turn
    await lake.close()
    assert set(_snapshots(catalog, THEIRS)) == of_owner[THEIRS]
    assert _files(catalog, THEIRS) == files
    assert of_owner[FED] < set(_snapshots(catalog, FED))
    assert [file for file in uncommitted if not file.exists()] == []
    first = _snapshots(catalog, FED)[0]
    assert spark.execute(f"SELECT label FROM lake.{FED} VERSION AS OF {first}") == [["0"]]  # noqa: S608 - its own words


def _snapshots(catalog: Catalog, table: TableName) -> list[int]:
    return [snapshot.snapshot_id for snapshot in load(catalog, table).snapshots()]


def _folder(catalog: Catalog, table: TableName) -> Path:
    return _path(load(catalog, table).location())


def _path(location: str) -> Path:
    return Path("/" + location.removeprefix("file:").lstrip("/"))


def _old_file(catalog: Catalog, table: TableName) -> Path:
    """Write a data file that no commit names, as one of a job of hours."""
    file = _folder(catalog, table) / "data/uncommitted.parquet"
    file.write_bytes(b"what a job has written and will commit")
    os.utime(file, (1, 1))
    return file


def _left_behind(catalog: Catalog, table: TableName) -> Path:
    """Write a data file as a server leaves it behind that is killed before its commit."""
    folder = exclusive_location(catalog, load(catalog, table).metadata)
    assert folder is not None
    file = _path(folder) / "data" / own_name("left-behind.parquet")
    file.write_bytes(b"of no commit")
    return file


def _files(catalog: Catalog, table: TableName) -> set[Path]:
    return {path for path in _folder(catalog, table).rglob("*") if path.is_file()}


async def _deleted(file: Path) -> None:
    async with asyncio.timeout(SWEEP_SECONDS):
        while file.exists():  # noqa: ASYNC110, ASYNC240 - there is no event to wait for
            await asyncio.sleep(0.1)
