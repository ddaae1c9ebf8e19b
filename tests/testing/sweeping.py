"""Orphan files left at a table's location, and sweeps that delete them."""

import asyncio
import os
from pathlib import Path

from pyiceberg.catalog import Catalog
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.reading import load

from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance, Summary
from lakegate.lake.maintenance.policy import GracePeriods, MaintenancePolicy
from lakegate.lake.table.retention import Retention

POLICY = MaintenancePolicy(Retention())
AT_ONCE = MaintenancePolicy(Retention(), grace_periods=GracePeriods(0, 0))
OURS = "data/lakegate-left-behind.parquet"
THEIRS = "data/00000-left-behind.parquet"


async def append_each(lake: Lake, *names: str) -> None:
    for name in names:
        await lake.append(batch(LinesDecoder(), {"label": name}))


async def maintain(catalog: Catalog, policy: MaintenancePolicy = POLICY) -> Summary:
    return await asyncio.to_thread(Maintenance(catalog, policy).run)


async def sweep(catalog: Catalog, policy: MaintenancePolicy = POLICY) -> Summary:
    maintenance = Maintenance(catalog, policy)
    await asyncio.to_thread(maintenance.sweep, ORDERS)
    return maintenance.summary


def location(catalog: Catalog) -> Path:
    return Path(load(catalog).location().removeprefix("file://"))


def leave(catalog: Catalog, path: str) -> Path:
    """Leave a file below the table's location that is as old as can be."""
    orphan = location(catalog) / path
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"rows of an attempt that failed")
    os.utime(orphan, (1, 1))
    return orphan


def data_files(catalog: Catalog) -> set[Path]:
    return set((location(catalog) / "data").rglob("*.parquet"))
