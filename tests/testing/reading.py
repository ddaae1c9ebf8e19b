"""Tables as other engines read them."""

from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from tests.testing.duckdb_reader import duckdb_reader
from tests.testing.lines import ORDERS

from lakegate.model import TableName


def load(catalog: Catalog, name: TableName = ORDERS) -> Table:
    return catalog.load_table((name.database, name.table))


def labels(catalog: Catalog, name: TableName = ORDERS, snapshot_id: str | None = None) -> list[Any]:
    """Read the column `label` with PyIceberg, sorted."""
    scan = load(catalog, name).scan(snapshot_id=int(snapshot_id) if snapshot_id else None)
    return sorted(scan.to_arrow()["label"].to_pylist())


def duckdb_rows(catalog: Catalog, columns: str = "label", name: TableName = ORDERS) -> list[Any]:
    """Read with DuckDB's own Iceberg reader, sorted."""
    location = load(catalog, name).metadata_location
    with duckdb_reader() as reader:
        rows = reader.sql(f"SELECT {columns} FROM iceberg_scan('{location}')").fetchall()  # noqa: S608 - columns that a test names
    return sorted((row if len(row) > 1 else row[0] for row in rows), key=str)


def duckdb_table(catalog: Catalog, name: TableName = ORDERS) -> pa.Table:
    """Read all columns with DuckDB's own Iceberg reader."""
    location = load(catalog, name).metadata_location
    with duckdb_reader() as reader:
        return reader.execute("SELECT * FROM iceberg_scan(?)", [location]).to_arrow_table()


def file_rows(catalog: Catalog, name: TableName = ORDERS) -> pa.Table:
    """Return the data files as `inspect.files()` has them."""
    return load(catalog, name).inspect.files()
