from collections.abc import AsyncIterator

import pytest

from lakegate.lake.catalog import open_catalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


@pytest.fixture
async def other_lake(settings: Settings) -> AsyncIterator[Lake]:
    """A second server on the same catalog and ledger."""
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    yield lake
    await lake.close()
