"""Rows into Parquet data files, described as manifests want them."""

import uuid
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io import OutputFile
from pyiceberg.io.fileformat import DataFileStatistics
from pyiceberg.io.pyarrow import ParquetFormatWriter
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionKey
from pyiceberg.schema import Schema
from pyiceberg.table import TableProperties
from pyiceberg.typedef import Properties, Record

from lakegate.lake.catalog.numeric_properties import readable
from lakegate.lake.files.names import own_name
from lakegate.lake.table.partitions import Placement, place, split
from lakegate.lake.table.schema import file_schema
from lakegate.lake.table.state import TableState


def write_data_files(
    state: TableState, rows: pa.Table, placement: Placement | None = None
) -> list[DataFile]:
    """Write `rows` to the table's storage, a file for each partition they touch.

    Every column of `rows` is one of the table's. `placement`: where they go, if that is known.
    Raises `OSError` where storage fails.
    """
    schema, spec = state.metadata.schema(), state.metadata.spec()
    plain = _as_file_columns(rows, schema)
    if placement is None and not spec.is_unpartitioned():
        placement = place(plain, spec, schema)
    write_id = uuid.uuid4()
    return [
        _write_data_file(state, partition, key, own_name(f"{number:05d}-{write_id}.parquet"))
        for number, (key, partition) in enumerate(split(plain, placement))
    ]


def _as_file_columns(rows: pa.Table, schema: Schema) -> pa.Table:
    """Return the rows in the types and the order of the table, field ids attached."""
    if rows.num_columns == 0:  # Parquet counts rows by their columns
        first = schema.fields[0].name
        rows = rows.append_column(first, pa.nulls(len(rows)))
    present = set(rows.column_names)
    if unknown := present.difference(field.name for field in schema.fields):
        raise ValueError(f"The table has no column {min(unknown)}")
    columns = file_schema(schema, [field.name for field in schema.fields if field.name in present])
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
    metadata, properties = state.metadata, readable(state.metadata.properties)
    location = state.locations.new_data_location(name, key)
    output = state.io.new_output(location)
    try:
        statistics = _write_parquet(output, rows, metadata.schema(), properties)
    except OverflowError:  # a time that Python's calendar does not know has no bounds
        without_bounds = {
            **properties,
            TableProperties.DEFAULT_WRITE_METRICS_MODE: "counts",
        }
        statistics = _write_parquet(output, rows, metadata.schema(), without_bounds)
    partition = key.partition if key else Record()
    return _data_file(statistics, location, len(output), partition, metadata.default_spec_id)


def _write_parquet(
    output: OutputFile, rows: pa.Table, schema: Schema, properties: Properties
) -> DataFileStatistics:
    columns = Schema(*(schema.find_field(column) for column in rows.column_names))
    writer = ParquetFormatWriter(output, columns, properties)
    with writer:
        writer.write(rows)
    return writer.result()


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
