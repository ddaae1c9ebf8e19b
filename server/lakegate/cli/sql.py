"""SQL over the tables of the catalog, with DuckDB's Iceberg reader."""

from importlib.resources import files

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from lakegate.model import DEFAULT_DATABASE


def open_reader() -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the Iceberg extension of the installed package. Needs no network."""
    reader = duckdb.connect()
    # Iceberg's manifests are Avro files.
    for extension in ("avro", "iceberg"):
        package = files(f"duckdb_extension_{extension}")
        path = package / f"extensions/v{duckdb.__version__}/{extension}.duckdb_extension"
        reader.execute(f"LOAD '{path}'")
    return reader


def query(catalog: Catalog, sql: str) -> duckdb.DuckDBPyRelation:
    """Run `sql`. A table without a database is one of the default database.

    Raises `duckdb.Error` for SQL that DuckDB refuses.
    """
    reader = open_reader()
    for name in reader.get_table_names(sql, qualified=True):
        _add_view(reader, catalog, name)
    return reader.sql(sql)


def _add_view(reader: duckdb.DuckDBPyConnection, catalog: Catalog, name: str) -> None:
    """Create a view `name` of the current snapshot of the table, if there is such a table."""
    *database, table = name.replace('"', "").split(".")
    try:
        found = catalog.load_table((*(database or [DEFAULT_DATABASE]), table))
    except NoSuchTableError:
        return
    for schema in database:
        reader.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    view = ".".join(f'"{part}"' for part in (*database, table))
    location = found.metadata_location.replace("'", "''")
    scan = f"SELECT * FROM iceberg_scan('{location}')"  # noqa: S608 - quoted above
    reader.execute(f"CREATE VIEW {view} AS {scan}")
