"""Fixtures of tests of the lake, in whichever suite."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import LinesDecoder
from tests.testing.passing_clock import PassingClock, passing_clock

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def catalog(settings: Settings) -> Iterator[Catalog]:
    """The embedded catalog, opened once more: what another engine sees of the same tables."""
    with open_catalog(settings.catalog, settings.home) as catalog:
        yield catalog


@pytest.fixture
async def lake(settings: Settings) -> AsyncIterator[Lake]:
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    yield lake
    await lake.close()


@pytest.fixture
async def other_lake(settings: Settings) -> AsyncIterator[Lake]:
    """A second server on the same catalog and ledger."""
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    yield lake
    await lake.close()


@pytest.fixture
def decoder() -> LinesDecoder:
    return LinesDecoder()


@pytest.fixture
def time() -> Iterator[PassingClock]:
    with passing_clock() as passing:
        yield passing
