"""Data files read as the table's columns are now."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask

from lakegate.lake.schema import FIELD_ID, file_schema
from lakegate.lake.table_state import TableState


class Read(NamedTuple):
    """The rows of some files."""

    rows: pa.Table
    files: Sequence[DataFile]


def read_data_files(state: TableState, files: Sequence[DataFile], most_bytes: int) -> Read:
    """Read the rows of `files` in the columns of the table's current schema.

    The first, and as many after it as together take no more than `most_bytes` in memory.
    Raises `ValueError` where there are other rows than the manifests say:
    then nothing may be replaced by them.
    """
    schema = state.metadata.schema()
    columns = file_schema(schema, [column.name for column in schema.fields])
    tables: list[pa.Table] = []
    size = 0
    for file in files:
        rows = _read(state, file, columns)
        if len(rows) != file.record_count:
            raise ValueError(f"Read {len(rows)} rows where the manifest counts {file.record_count}")
        size += rows.nbytes
        if tables and size > most_bytes:
            break
        tables.append(rows)
    return Read(pa.concat_tables(tables), files[: len(tables)])


def _read(state: TableState, file: DataFile, columns: pa.Schema) -> pa.Table:
    with state.io.new_input(file.file_path).open() as stream:
        rows = pq.read_table(pa.PythonFile(stream, mode="r"), use_threads=False)
    projected = _projected(rows, columns)
    return projected if projected is not None else _scanned(state, file, columns)


def _projected(rows: pa.Table, columns: pa.Schema) -> pa.Table | None:
    """Choose columns by field id; None where one is of another type, or has no id."""
    by_id = {(field.metadata or {}).get(FIELD_ID): name for name, field in _fields(rows)}
    if None in by_id:
        return None
    arrays = []
    for column in columns:
        name = by_id.get(column.metadata[FIELD_ID])
        array = rows.column(name) if name is not None else pa.nulls(len(rows), column.type)
        if not array.type.equals(column.type):
            return None
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=columns)


def _fields(rows: pa.Table) -> list[tuple[str, pa.Field]]:
    return [(field.name, field) for field in rows.schema]


def _scanned(state: TableState, file: DataFile, columns: pa.Schema) -> pa.Table:
    """Read a file whose columns have changed since, with all of PyIceberg's rules for that."""
    scan = ArrowScan(state.metadata, state.io, state.metadata.schema(), AlwaysTrue())
    return scan.to_table([FileScanTask(file)]).cast(columns)
