"""Reads data files in the columns of the current schema."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask

from lakegate.lake.maintenance.projection import IncompatibleTypesError, projected
from lakegate.lake.table.schema import file_schema
from lakegate.lake.table.state import TableState


class Read(NamedTuple):
    """The rows of some files."""

    rows: pa.Table
    files: Sequence[DataFile]


def read_data_files(state: TableState, files: Sequence[DataFile], max_bytes: int) -> Read:
    """Read the rows of `files` in the columns of the table's current schema.

    Reads the first file, and further ones while their rows take at most `max_bytes` in memory.
    Raises `ValueError` if the number of rows differs from the manifest's.
    """
    schema = state.metadata.schema()
    columns = file_schema(schema, [column.name for column in schema.fields])
    tables: list[pa.Table] = []
    size = 0
    for file in files:
        rows = _read(state, file, columns)
        if len(rows) != file.record_count:
            raise ValueError(f"Read {len(rows)} rows, and the manifest has {file.record_count}")
        size += rows.nbytes
        if tables and size > max_bytes:
            break
        tables.append(rows)
    return Read(pa.concat_tables(tables), files[: len(tables)])


def _read(state: TableState, file: DataFile, columns: pa.Schema) -> pa.Table:
    with state.io.new_input(file.file_path).open() as stream:
        rows = pq.read_table(pa.PythonFile(stream, mode="r"), use_threads=False)
    try:
        return projected(rows, columns)
    except IncompatibleTypesError:
        return _scanned(state, file, columns)


def _scanned(state: TableState, file: DataFile, columns: pa.Schema) -> pa.Table:
    """Read a file with other types or without field ids by the rules of PyIceberg.

    Raises `ValueError` for types whose nulls PyIceberg does not keep.
    """
    if any(_holds_structs(column.type) for column in columns):
        raise ValueError("A file with lists or maps of structs cannot be read exactly.")
    scan = ArrowScan(state.metadata, state.io, state.metadata.schema(), AlwaysTrue())
    return scan.to_table([FileScanTask(file)]).cast(columns)


def _holds_structs(type_: pa.DataType) -> bool:
    """Whether the type has, at any depth, a list or map with structs as values."""
    if pa.types.is_list(type_) and pa.types.is_struct(type_.value_type):
        return True
    if pa.types.is_map(type_) and pa.types.is_struct(type_.item_type):
        return True
    nested = [type_.key_type, type_.item_type] if pa.types.is_map(type_) else []
    nested += [type_.field(number).type for number in range(0 if nested else type_.num_fields)]
    return any(map(_holds_structs, nested))
