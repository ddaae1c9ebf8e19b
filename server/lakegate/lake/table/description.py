"""Descriptions of tables for callers."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.catalog import Catalog

from lakegate.lake.table.partitions import partition_terms
from lakegate.lake.table.schema import logical_type
from lakegate.lake.table.state import TableState, load_state
from lakegate.model import TableName


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """A column.

    `type`: its Iceberg type. `logical_type`: the type of Lakegate that it stores, if there is one.
    """

    name: str
    type: str
    logical_type: str | None = None


@dataclass(frozen=True, slots=True)
class TableDescription:
    """The current state of a table.

    `snapshot_id`: in decimal digits; empty for a table without snapshots.
    `rows`, `data_files`: the totals in the summary of the current snapshot.
    `partitioning`: terms such as `day(at)`.
    """

    name: TableName
    columns: Sequence[ColumnDescription]
    snapshot_id: str
    location: str
    rows: int
    data_files: int
    partitioning: Sequence[str]


def load_description(catalog: Catalog, name: TableName) -> TableDescription:
    """Describe a table as the catalog has it now. Blocks. Raises `TableMissingError`."""
    return describe(load_state(catalog, name), name)


def describe(state: TableState, name: TableName) -> TableDescription:
    """Describe a table. Reads nothing but its metadata."""
    metadata = state.metadata
    schema = metadata.schema()
    snapshot = metadata.current_snapshot()
    totals = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
    return TableDescription(
        name=name,
        columns=[
            ColumnDescription(column.name, str(column.field_type), logical_type(arrow))
            for column, arrow in zip(schema.fields, state.arrow_schema, strict=True)
        ],
        snapshot_id=state.snapshot_id,
        location=metadata.location,
        rows=int(totals.get("total-records", 0)),
        data_files=int(totals.get("total-data-files", 0)),
        partitioning=partition_terms(metadata.spec(), schema),
    )
