"""Compaction of nested columns that another engine has changed: no value changes."""

import asyncio
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.types import ListType, MapType, NestedField, StringType, StructType
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import duckdb_rows, file_rows, load

from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.schema import file_schema

Alter = Callable[[UpdateSchema], Any]

PAIR = StructType(NestedField(1, "a", StringType()), NestedField(2, "b", StringType()))
VALUE = {"a": "A", "b": "B"}
# How a column holds the pair: its type, a value, and the path to the fields of the pair.
HOLDERS = {
    "struct": (PAIR, VALUE, "s"),
    "list": (ListType(3, PAIR, element_required=False), [VALUE], "s.element"),
    "map": (
        MapType(3, StringType(), 4, PAIR, value_required=False),
        [("key", VALUE)],
        "s.value",
    ),
}
CHANGES: dict[str, Callable[[str], list[Alter]]] = {
    "as they were": lambda _: [],
    "dropped": lambda path: [lambda update: update.delete_column(f"{path}.a")],
    "made anew": lambda path: [
        lambda update: update.delete_column(f"{path}.a"),
        lambda update: update.add_column((*path.split("."), "a"), StringType()),
        lambda update: update.move_first(f"{path}.a"),
    ],
    "renamed into each other": lambda path: [
        lambda update: update.rename_column(f"{path}.a", "t"),
        lambda update: update.rename_column(f"{path}.b", "a"),
        lambda update: update.rename_column(f"{path}.t", "b"),
        lambda update: update.move_first(f"{path}.a"),
    ],
}


def alter(catalog: Catalog, change: Alter) -> None:
    with load(catalog).update_schema(allow_incompatible_changes=True) as update:
        change(update)


async def add_nested(lake: Lake, catalog: Catalog, holder: str) -> None:
    """Create a table of three files with a nested column `s`, as another engine does."""
    type_, value, _ = HOLDERS[holder]
    await lake.append(batch(LinesDecoder(), {"label": "0"}))
    alter(catalog, lambda update: update.add_column("s", type_))
    column = file_schema(load(catalog).schema(), ["s"]).field("s")
    for label in "12":
        rows = pa.table({"label": [label] * 3, "s": pa.array([value, None, value], column.type)})
        load(catalog).append(rows)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("holder", HOLDERS)
async def test_values_of_changed_fields_are_kept(
    holder: str, change: str, lake: Lake, catalog: Catalog
) -> None:
    await add_nested(lake, catalog, holder)
    for step in CHANGES[change](HOLDERS[holder][2]):
        alter(catalog, step)
    before = duckdb_rows(catalog, "label, s")
    await asyncio.to_thread(Maintenance(catalog, MaintenancePolicy(Retention())).run)
    assert len(file_rows(catalog)) == 1
    assert duckdb_rows(catalog, "label, s") == before
