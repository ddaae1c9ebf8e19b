"""DuckDB's own Iceberg reader, opened once a process: its extension takes half a second to load."""

from functools import cache

import duckdb

from lakegate.cli.sql import open_reader


def duckdb_reader() -> duckdb.DuckDBPyConnection:
    """Return a connection of its own, to be closed."""
    return _opened().cursor()


@cache
def _opened() -> duckdb.DuckDBPyConnection:
    reader = open_reader()
    reader.execute("SET enable_external_file_cache = false")  # what is read is what the files have
    return reader
