"""A server that stops waits for one step of the maintenance in progress, not for all of it."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.reading import labels
from tests.testing.waiting import until

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.compaction import Compaction
from lakegate.lake.maintenance.plan import FAN_IN
from lakegate.lake.table.definition import TableDefinition
from lakegate.settings import Settings

PARTITIONS = ["a", "b", "c"]


async def test_the_merge_in_progress_is_the_last(
    settings: Settings,
    catalog: Catalog,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    merged: list[int] = []
    stopping = threading.Event()
    merge = Compaction.merge

    def merge_once_stopping(self: Compaction, table: Any, files: Sequence[DataFile]) -> object:
        merged.append(len(files))
        stopping.wait()
        return merge(self, table, files)

    monkeypatch.setattr(Compaction, "merge", merge_once_stopping)
    often = settings.model_copy(update={"maintenance_interval_seconds": 0.05})
    lake = Lake(open_catalog(settings.catalog, settings.home), often)
    await lake.ensure_table(ORDERS, COLUMNS, TableDefinition(partition_by=["label"]))
    rows = [{"label": label} for label in PARTITIONS]
    for _ in range(FAN_IN):
        await lake.append(batch(LinesDecoder(), *rows))
    await until(lambda: len(merged) == 1)
    closing = asyncio.create_task(lake.close())
    await asyncio.sleep(0)
    stopping.set()
    await closing
    assert merged == [FAN_IN]
    assert labels(catalog) == sorted(PARTITIONS * FAN_IN)
    assert "Maintenance of default.orders is not finished: the server stops" in caplog.messages
