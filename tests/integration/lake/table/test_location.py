"""A sweep deletes only at a location that belongs to one table."""

import asyncio
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.reading import duckdb_rows, labels, load
from tests.testing.rest_catalog import rest_catalog

from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import GracePeriods, MaintenancePolicy
from lakegate.lake.table.location import exclusive_location
from lakegate.lake.table.retention import Retention
from lakegate.model import TableName
from lakegate.settings import Settings

RENAMED = TableName("default", "orders_2025")
AT_ONCE = MaintenancePolicy(Retention(), grace_periods=GracePeriods(0, 0))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of a catalog that gives a new table the location of a renamed one."""
    with rest_catalog(tmp_path) as uri:
        monkeypatch.setenv("PYICEBERG_CATALOG__SHARED__TYPE", "rest")
        monkeypatch.setenv("PYICEBERG_CATALOG__SHARED__URI", uri)
        yield Settings(home=tmp_path, catalog="shared")


async def append_each(lake: Lake, *names: str) -> None:
    for name in names:
        await lake.append(batch(LinesDecoder(), {"label": name}))


async def sweep(catalog: Catalog, *names: TableName) -> Maintenance:
    maintenance = Maintenance(catalog, AT_ONCE)
    for name in names:
        await asyncio.to_thread(maintenance.sweep, name)
    return maintenance


def create_theirs(catalog: Catalog) -> Table:
    """Create a table of two rows as another engine does."""
    catalog.create_namespace_if_not_exists("default")
    rows = pa.table({"label": ["x", "y"]})
    table = catalog.create_table("default.orders", rows.schema)
    table.append(rows)
    return load(catalog)


async def test_a_renamed_table_and_a_new_one_under_its_name_keep_their_rows(
    lake: Lake, catalog: Catalog
) -> None:
    await append_each(lake, "a", "b")
    catalog.rename_table("default.orders", "default.orders_2025")
    await append_each(lake, "c", "d")
    assert load(catalog).location() == load(catalog, RENAMED).location()
    await sweep(catalog, ORDERS, RENAMED, ORDERS, RENAMED)
    assert labels(catalog) == duckdb_rows(catalog) == ["c", "d"]
    assert labels(catalog, RENAMED) == duckdb_rows(catalog, name=RENAMED) == ["a", "b"]


async def test_a_renamed_table_of_others_keeps_its_rows(lake: Lake, catalog: Catalog) -> None:
    create_theirs(catalog)
    catalog.rename_table("default.orders", "default.orders_2025")
    await append_each(lake, "a")
    assert load(catalog).location() == load(catalog, RENAMED).location()
    await sweep(catalog, ORDERS, ORDERS)
    assert labels(catalog, RENAMED) == duckdb_rows(catalog, name=RENAMED) == ["x", "y"]


async def test_orphans_at_the_location_of_a_table_are_deleted(lake: Lake, catalog: Catalog) -> None:
    await append_each(lake, "a")
    (file,) = load(catalog).inspect.files()["file_path"].to_pylist()
    orphan = Path(file.removeprefix("file://")).parent / "lakegate-left-behind.parquet"
    orphan.write_bytes(b"rows of an attempt that failed")
    await sweep(catalog, ORDERS)
    assert not orphan.exists()
    assert labels(catalog) == duckdb_rows(catalog) == ["a"]


async def test_a_table_that_may_share_its_location_is_not_swept_which_is_logged_once(
    catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    table = create_theirs(catalog)
    table.transaction().set_properties({"lakegate.managed": "true"}).commit_transaction()
    orphan = Path(table.location().removeprefix("file://")) / "data/lakegate-left-behind.parquet"
    orphan.write_bytes(b"rows of somebody else")
    with caplog.at_level(logging.INFO):
        await sweep(catalog, ORDERS, ORDERS)
    assert orphan.exists()
    assert caplog.text.count("is not swept") == 1
    # The owner declares the location exclusive.
    owned = {"lakegate.folder": table.location()}
    load(catalog).transaction().set_properties(owned).commit_transaction()
    await sweep(catalog, ORDERS)
    assert not orphan.exists()


async def test_copied_properties_give_the_copy_no_exclusive_location(
    lake: Lake, catalog: Catalog
) -> None:
    await append_each(lake, "a")
    metadata = load(catalog).metadata
    assert exclusive_location(catalog, metadata) is not None
    copy = metadata.model_copy(update={"table_uuid": uuid.uuid4()})
    assert exclusive_location(catalog, copy) is None
