from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.passing_clock import PassingClock, passing_clock

from lakegate.lake.catalog.open import open_catalog
from lakegate.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, maintenance_interval_seconds=0)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    with open_catalog(settings.catalog, settings.home) as catalog:
        yield catalog


@pytest.fixture
def time() -> Iterator[PassingClock]:
    with passing_clock() as passing:
        yield passing
