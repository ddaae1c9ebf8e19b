"""SQL over the tables of the catalog, with DuckDB's Iceberg reader."""

import difflib
from importlib.resources import files

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.maintenance.maintain import all_tables
from lakegate.model import DEFAULT_DATABASE, TableName


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
    """Run a SELECT. A table without a database is one of the default database.

    Raises `LakegateError` for any other statement (invalid_argument), a missing table
    (table_not_found) and missing files (ingest_failed), `duckdb.Error` for SQL that DuckDB refuses.
    """
    reader = open_reader()
    _check_is_select(reader, sql)
    names = reader.get_table_names(sql, qualified=True)
    missing = [name for name in map(_parsed, names) if not _add_view(reader, catalog, name)]
    try:
        return reader.sql(sql)
    except duckdb.CatalogException:
        if missing:
            raise _not_found(catalog, missing[0]) from None
        raise


def _check_is_select(reader: duckdb.DuckDBPyConnection, sql: str) -> None:
    kinds = [statement.type for statement in reader.extract_statements(sql)]
    if kinds != [duckdb.StatementType.SELECT]:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            "this command runs one SELECT: it writes no tables and no files. To save the rows, "
            "redirect its output, or read the table with another engine (docs/reading.md)",
        )


def _parsed(name: str) -> TableName:
    """Return the table that SQL calls `name`: `table` or `database.table`."""
    database, _, table = name.replace('"', "").rpartition(".")
    return TableName(database or DEFAULT_DATABASE, table)


def _add_view(reader: duckdb.DuckDBPyConnection, catalog: Catalog, name: TableName) -> bool:
    """Create a view of the current snapshot of the table. Return whether there is such a table."""
    try:
        found = catalog.load_table((*name.database.split("."), name.table))
        _check_manifests(found)
    except NoSuchTableError:
        return False
    except FileNotFoundError as error:
        raise LakegateError(
            ErrorCode.INGEST_FAILED, f"a file of the table {name} is missing: {error}"
        ) from error
    view = f'"{name.table}"'
    if name.database != DEFAULT_DATABASE:
        reader.execute(f'CREATE SCHEMA IF NOT EXISTS "{name.database}"')
        view = f'"{name.database}".{view}'
    location = found.metadata_location.replace("'", "''")
    scan = f"SELECT * FROM iceberg_scan('{location}')"  # noqa: S608 - quoted above
    reader.execute(f"CREATE VIEW {view} AS {scan}")
    return True


def _check_manifests(table: Table) -> None:
    """Raise `FileNotFoundError` if a manifest is missing: DuckDB would abort the process."""
    snapshot = table.current_snapshot()
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        if not table.io.new_input(manifest.manifest_path).exists():
            raise FileNotFoundError(manifest.manifest_path)


def _not_found(catalog: Catalog, name: TableName) -> LakegateError:
    tables = sorted(str(each) for each in all_tables(catalog))
    nearest = difflib.get_close_matches(str(name), tables, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "`lakegate tables` lists those that do"
    return LakegateError(ErrorCode.TABLE_NOT_FOUND, f"the table {name} does not exist: {hint}")
