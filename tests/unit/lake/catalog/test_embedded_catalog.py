"""The embedded catalog keeps everything under the home, with any name of the home."""

from pathlib import Path

import pytest
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import duckdb_rows, labels

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.settings import Settings


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("name", ["plain", "with spaces", "späße", "100%", "it's"])
async def test_files_are_under_the_home_and_are_read_back(tmp_path: Path, name: str) -> None:
    settings = Settings(home=tmp_path / name)
    with open_catalog(settings.catalog, settings.home) as catalog:
        lake = Lake(open_catalog(settings.catalog, settings.home), settings)
        for label in "ab":
            await lake.append(batch(LinesDecoder(), {"label": label}))
        await lake.close()
        assert labels(catalog) == ["a", "b"]
        Maintenance(catalog, MaintenancePolicy.of(settings)).run()
        assert labels(catalog) == ["a", "b"]
    assert names_in(tmp_path) == [name]
    assert len(list(settings.warehouse.rglob("*.parquet"))) == 3


async def test_duckdb_reads_a_home_with_spaces(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "with spaces")
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    await lake.append(batch(LinesDecoder(), {"label": "a"}))
    await lake.close()
    with open_catalog(settings.catalog, settings.home) as catalog:
        assert duckdb_rows(catalog) == ["a"]


@pytest.mark.parametrize("name", ["a?b", "a#b"])
def test_a_home_that_cannot_be_part_of_a_uri_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LakegateError) as caught:
        open_catalog("lakegate", tmp_path / name)
    assert caught.value.code is ErrorCode.INVALID_ARGUMENT
    assert list(tmp_path.iterdir()) == []
