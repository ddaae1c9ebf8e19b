"""Storage fails at any kind of file: the batch is refused as a whole, and the next commit works."""

from pathlib import Path

import pytest
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import duckdb_rows
from tests.testing.servers.faulty_io import DISK_FULL, SERVER_ERROR, FaultyFileIO, failing

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    properties = {
        "TYPE": "sql",
        "URI": f"sqlite:///{tmp_path / 'faulty.db'}",
        "WAREHOUSE": (tmp_path / "warehouse").as_uri(),
        "PY_IO_IMPL": f"{FaultyFileIO.__module__}.{FaultyFileIO.__qualname__}",
    }
    for name, value in properties.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__FAULTY__{name}", value)
    return Settings(home=tmp_path, catalog="faulty", maintenance_interval_seconds=0)


@pytest.mark.parametrize("error", [DISK_FULL, SERVER_ERROR], ids=["disk full", "server error"])
@pytest.mark.parametrize("suffix", [".parquet", "-m0.avro", ".avro", ".metadata.json"])
async def test_a_batch_is_refused_as_a_whole_and_the_next_one_is_committed(
    suffix: str, error: OSError, settings: Settings
) -> None:
    catalog = open_catalog(settings.catalog, settings.home)
    lake = Lake(catalog, settings)
    decoder = LinesDecoder()
    await lake.append(batch(decoder, {"label": "before"}))
    with failing(suffix, error), pytest.raises(LakegateError, match="Storage failed") as caught:
        await lake.append(batch(decoder, {"label": "lost"}))
    assert caught.value.code is ErrorCode.INGEST_FAILED
    assert duckdb_rows(catalog) == ["before"]
    await lake.append(batch(decoder, {"label": "after"}))
    assert duckdb_rows(catalog) == ["after", "before"]
    await lake.close()
