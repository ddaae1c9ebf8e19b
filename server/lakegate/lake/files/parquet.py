"""Writes Parquet files, and computes their statistics for manifests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import OutputFile
from pyiceberg.io.fileformat import DataFileStatistics
from pyiceberg.io.pyarrow import (
    StatisticsCollector,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.schema import Schema
from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Properties
from pyiceberg.utils.properties import property_as_int

from lakegate.lake.catalog.pyiceberg_private import parquet_options
from lakegate.lake.catalog.usable_properties import METRICS_OF_COLUMN, usable
from lakegate.lake.files.per_schema import PerSchema
from lakegate.lake.table.schema import file_schema


@dataclass(frozen=True, slots=True)
class ParquetLayout:
    """The layout of files with some columns of a table.

    `schema`: the columns in the file, with field ids. `collectors`, by field id, and `field_ids`,
    by path in the file: for PyIceberg's statistics. `options`: of `pyarrow.parquet.ParquetWriter`.
    """

    schema: pa.Schema
    collectors: dict[int, StatisticsCollector]
    field_ids: dict[str, int]
    options: dict[str, Any] = field(hash=False)
    row_group_rows: int | None

    def write(self, output: OutputFile, rows: pa.Table) -> DataFileStatistics:
        """Write a file of `rows`, which have the columns of the layout.

        Raises `OverflowError` for times outside Python's calendar, which have no bounds.
        """
        with output.create(overwrite=True) as stream:
            with pq.ParquetWriter(stream, self.schema, **self.options) as writer:
                writer.write_table(rows, row_group_size=self.row_group_rows)
            return data_file_statistics_from_parquet_metadata(
                writer.writer.metadata, self.collectors, self.field_ids
            )


_layouts = PerSchema[ParquetLayout]()


def parquet_layout(
    metadata: TableMetadata, columns: Sequence[str], metrics: str | None = None
) -> ParquetLayout:
    """Return the layout of `columns` of a table, in the order of the table.

    `metrics`: the metrics mode of all columns, if it is not that of the table's properties.
    """
    properties = usable(metadata.properties)
    if metrics is not None:
        for key in [key for key in properties if key.startswith(METRICS_OF_COLUMN)]:
            del properties[key]
        properties[TableProperties.DEFAULT_WRITE_METRICS_MODE] = metrics
    return _layouts.get(
        metadata,
        metadata.default_spec_id,
        lambda schema, _: _layout(schema, columns, properties),
        extra=(tuple(columns), tuple(properties.items())),
    )


def _layout(schema: Schema, columns: Sequence[str], properties: Properties) -> ParquetLayout:
    chosen = Schema(*(schema.find_field(column) for column in columns))
    return ParquetLayout(
        file_schema(schema, columns),
        compute_statistics_plan(chosen, properties),
        parquet_path_to_id_mapping(chosen),
        {**parquet_options(properties), "store_decimal_as_integer": True},
        property_as_int(
            properties,
            TableProperties.PARQUET_ROW_GROUP_LIMIT,
            TableProperties.PARQUET_ROW_GROUP_LIMIT_DEFAULT,
        ),
    )
