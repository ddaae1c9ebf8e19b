"""PyIceberg's private functions, as Lakegate uses them, have the results of its own commits."""

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table.update import (
    RemoveSnapshotsUpdate,
    SetPropertiesUpdate,
    TableUpdate,
    update_table_metadata,
)

from lakegate.lake.catalog.pyiceberg_private import next_metadata_version, updated_metadata


def test_updates_give_the_same_metadata_as_in_pyiceberg(catalog: Catalog) -> None:
    catalog.create_namespace("default")
    table = catalog.create_table("default.orders", pa.schema([("n", pa.int64())]))
    for number in range(3):
        table.append(pa.table({"n": [number]}))
    first = table.snapshots()[0].snapshot_id
    updates: tuple[TableUpdate, ...] = (
        SetPropertiesUpdate(updates={"a": "b"}),
        RemoveSnapshotsUpdate(snapshot_ids=[first]),
    )
    before = table.metadata.model_copy(deep=True)
    ours = updated_metadata(table, updates)
    theirs = update_table_metadata(table.metadata, updates, False, table.metadata_location)
    same_time = {"last_updated_ms": 0}
    assert ours.model_copy(update=same_time) == theirs.model_copy(update=same_time)
    assert ours.last_updated_ms >= before.last_updated_ms
    assert table.metadata == before  # nothing is changed in place


def test_the_numbers_of_metadata_files_increase(catalog: Catalog) -> None:
    catalog.create_namespace("default")
    table = catalog.create_table("default.orders", pa.schema([("n", pa.int64())]))
    assert next_metadata_version(table) == 1
    table.append(pa.table({"n": [1]}))
    assert next_metadata_version(table) == 2
