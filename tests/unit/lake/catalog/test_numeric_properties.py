"""Numeric table properties that another engine has set to other values."""

import asyncio

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import duckdb_rows, labels, load

from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.retention import Retention


@pytest.mark.parametrize("value", ["7 days", "9" * 5000])
@pytest.mark.parametrize(
    "key",
    [
        "history.expire.max-snapshot-age-ms",
        "history.expire.min-snapshots-to-keep",
        "lakegate.fence",
        "write.metadata.previous-versions-max",
        "write.parquet.compression-level",
        "write.parquet.row-group-limit",
        "write.summary.partition-limit",
        "write.target-file-size-bytes",
    ],
)
async def test_ingest_and_maintenance_continue(
    key: str, value: str, lake: Lake, catalog: Catalog
) -> None:
    await lake.append(batch(LinesDecoder(), {"label": "a"}))
    with load(catalog).transaction() as transaction:
        transaction.set_properties({key: value})
    for label in "bc":
        await lake.append(batch(LinesDecoder(), {"label": label}))
    done = await asyncio.to_thread(Maintenance(catalog, MaintenancePolicy(Retention())).run)
    assert (done.tables, done.failed) == (1, 0)
    assert load(catalog).properties[key] == value
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]
