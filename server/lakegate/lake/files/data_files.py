"""Writes rows to Parquet data files, and describes them for manifests."""

import uuid
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.fileformat import DataFileStatistics
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionKey
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.files.names import own_name
from lakegate.lake.files.parquet import parquet_layout
from lakegate.lake.table.partitions import Placement, place, split
from lakegate.lake.table.state import TableState

LAST_FORMAT_VERSION = 2


def write_data_files(
    state: TableState, rows: pa.Table, placement: Placement | None = None
) -> list[DataFile]:
    """Write `rows` to the table's storage, one file for each partition.

    Every column of `rows` is a column of the table. `placement`: the partitions of the rows, if
    they are known. Raises `OSError` if storage fails, and `LakegateError` (invalid_argument) for a
    format version whose manifests cannot be written.
    """
    _check_format_version(state.metadata)
    schema, spec = state.metadata.schema(), state.metadata.spec()
    plain = _as_file_columns(rows, state.metadata)
    if placement is None and not spec.is_unpartitioned():
        placement = place(plain, spec, schema)
    write_id = uuid.uuid4()
    return [
        _write_data_file(state, partition, key, own_name(f"{number:05d}-{write_id}.parquet"))
        for number, (key, partition) in enumerate(split(plain, placement))
    ]


def _check_format_version(metadata: TableMetadata) -> None:
    """Refuse version 3: its snapshots need row ids, which a catalog may not check.

    Raises `LakegateError` (invalid_argument).
    """
    if metadata.format_version > LAST_FORMAT_VERSION:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"The table has Iceberg's format version {metadata.format_version}; rows can be added "
            f"up to version {LAST_FORMAT_VERSION}.",
        )


def _as_file_columns(rows: pa.Table, metadata: TableMetadata) -> pa.Table:
    """Return the rows in the types and the order of the table's columns, with field ids."""
    schema = metadata.schema()
    if rows.num_columns == 0:  # Parquet counts rows by their columns
        first = schema.fields[0].name
        rows = rows.append_column(first, pa.nulls(len(rows)))
    present = set(rows.column_names)
    if unknown := present.difference(field.name for field in schema.fields):
        raise ValueError(f"The table has no column {min(unknown)}")
    names = [field.name for field in schema.fields if field.name in present]
    columns = parquet_layout(metadata, names).schema
    return pa.Table.from_arrays(
        [_cast(rows.column(field.name), field.type) for field in columns], schema=columns
    )


def _cast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    if column.type.equals(type_, check_metadata=True):
        return column
    return pc.cast(column, options=pc.CastOptions(type_, allow_time_truncate=True))


def _write_data_file(
    state: TableState, rows: pa.Table, key: PartitionKey | None, name: str
) -> DataFile:
    metadata = state.metadata
    location = state.locations.new_data_location(name, key)
    output = state.io.new_output(location)
    try:
        statistics = parquet_layout(metadata, rows.column_names).write(output, rows)
    except OverflowError:  # a time outside Python's calendar has no bounds
        without_bounds = parquet_layout(metadata, rows.column_names, metrics="counts")
        statistics = without_bounds.write(output, rows)
    partition = key.partition if key else Record()
    return _data_file(statistics, location, len(output), partition, metadata.default_spec_id)


def _data_file(
    statistics: DataFileStatistics, location: str, size: int, partition: Record, spec_id: int
) -> DataFile:
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=size,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = spec_id
    return file


def total_size(files: Sequence[DataFile]) -> int:
    """Return the size of all `files` in bytes."""
    return sum(file.file_size_in_bytes for file in files)
