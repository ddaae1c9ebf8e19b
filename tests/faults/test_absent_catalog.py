"""The catalog is locked or does not answer: commits wait for it, and none is lost or doubled."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import duckdb_rows
from tests.testing.rest_catalog import rest_catalog

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


async def test_a_commit_waits_for_the_lock_of_another_process(
    settings: Settings, catalog: Catalog
) -> None:
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    decoder = LinesDecoder()
    await lake.append(batch(decoder, {"label": "a"}))
    other = sqlite3.connect(settings.home / "catalog.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(lake.append(batch(decoder, {"label": "b"})))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert not done
    assert duckdb_rows(catalog) == ["a"]
    other.execute("ROLLBACK")
    other.close()
    await waiting
    await lake.close()
    assert duckdb_rows(catalog) == ["a", "b"]


@pytest.fixture
def rest_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PYICEBERG_CATALOG__DISTANT__TYPE", "rest")
    return Settings(home=tmp_path, catalog="distant", maintenance_interval_seconds=0)


async def test_a_commit_waits_for_a_catalog_that_comes_back(
    rest_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, decoder = rest_settings.home, LinesDecoder()
    with rest_catalog(home) as uri:
        monkeypatch.setenv("PYICEBERG_CATALOG__DISTANT__URI", uri)
        lake = Lake(open_catalog("distant", home), rest_settings)
        await lake.append(batch(decoder, {"label": "a"}))
    waiting = asyncio.ensure_future(lake.append(batch(decoder, {"label": "b"})))
    done, _ = await asyncio.wait({waiting}, timeout=1)
    assert not done
    with rest_catalog(home, port=int(uri.rpartition(":")[2])):
        await waiting
        assert duckdb_rows(open_catalog("distant", home)) == ["a", "b"]
        await lake.close()


async def test_a_catalog_that_stays_away_is_unavailable_and_nothing_is_written(
    rest_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, decoder = rest_settings.home, LinesDecoder()
    impatient = rest_settings.model_copy(update={"commit_attempts": 3})
    with rest_catalog(home) as uri:
        monkeypatch.setenv("PYICEBERG_CATALOG__DISTANT__URI", uri)
        lake = Lake(open_catalog("distant", home), impatient)
        await lake.append(batch(decoder, {"label": "a"}))
    with pytest.raises(LakegateError) as caught:
        await lake.append(batch(decoder, {"label": "b"}))
    assert caught.value.code is ErrorCode.UNAVAILABLE
    with rest_catalog(home, port=int(uri.rpartition(":")[2])):
        await lake.append(batch(decoder, {"label": "c"}))
        assert duckdb_rows(open_catalog("distant", home)) == ["a", "c"]
        await lake.close()
