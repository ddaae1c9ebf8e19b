"""`lakegate maintain` as a user runs it."""

import asyncio

import pytest
from click.testing import CliRunner
from pyiceberg.catalog import Catalog
from tests.testing.lines import LinesDecoder, batch
from tests.testing.passing_clock import HOUR, PassingClock
from tests.testing.reading import duckdb_rows, file_rows

from lakegate.cli.main import main
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


@pytest.fixture
def runner(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("LAKEGATE_HOME", str(settings.home))
    return CliRunner()


async def write(settings: Settings, rows: int) -> None:
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    for number in range(rows):
        await lake.append(batch(LinesDecoder(), {"label": str(number)}))
    await lake.close()


def test_files_are_merged_and_the_summary_says_so(
    runner: CliRunner, settings: Settings, catalog: Catalog
) -> None:
    asyncio.run(write(settings, 5))
    result = runner.invoke(main, ["maintain"])
    assert result.exit_code == 0
    assert "Tables maintained    1" in result.stdout
    assert "Files merged         5 (" in result.stdout
    assert " into 1 (" in result.stdout
    assert "default.orders: merging small files" in result.stderr
    assert len(file_rows(catalog)) == 1
    assert duckdb_rows(catalog) == list("01234")


def test_a_second_time_there_is_nothing_to_do(runner: CliRunner, settings: Settings) -> None:
    asyncio.run(write(settings, 5))
    runner.invoke(main, ["maintain"])
    result = runner.invoke(main, ["maintain"])
    assert result.exit_code == 0
    assert "Files merged         0 (0 bytes) into 0 (0 bytes)" in result.stdout


def test_files_that_one_run_finds_unreferenced_a_later_one_deletes(
    runner: CliRunner, settings: Settings, time: PassingClock
) -> None:
    asyncio.run(write(settings, 1))
    orphan = next(settings.warehouse.rglob("data")) / "lakegate-orphan.parquet"
    orphan.write_bytes(b"x" * 30)
    found = runner.invoke(main, ["maintain"])
    assert "Orphans deleted      0 (0 bytes)\nOrphans left for now 1\n" in found.stdout
    time.pass_(HOUR + 60)
    deleted = runner.invoke(main, ["maintain"])
    assert "Orphans deleted      1 (30 bytes)\nOrphans left for now 0\n" in deleted.stdout
    assert not orphan.exists()


def test_a_catalog_without_tables_is_no_failure(runner: CliRunner, catalog: Catalog) -> None:
    assert catalog.list_namespaces() == []
    result = runner.invoke(main, ["maintain"])
    assert result.exit_code == 0
    assert "Tables maintained    0" in result.stdout
