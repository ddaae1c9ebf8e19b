"""Create and widen tables. Each change of a schema is a commit of its own."""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError
from pyiceberg.schema import Schema
from pyiceberg.table import TableProperties
from pyiceberg.table.update import (
    AddSchemaUpdate,
    AssertCurrentSchemaId,
    AssertLastAssignedFieldId,
    SetCurrentSchemaUpdate,
    SetPropertiesUpdate,
    TableUpdate,
)

from lakegate.concurrency.retry import SCHEMA_CHANGE
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import ensure_namespace
from lakegate.lake.failures import (
    ColumnConflictError,
    CommitOutcomeUnknownError,
    TableMissingError,
)
from lakegate.lake.table.change import change_table
from lakegate.lake.table.definition import TableDefinition, check_column_count
from lakegate.lake.table.location import new_table_location, with_exclusive_location
from lakegate.lake.table.ownership import MANAGED
from lakegate.lake.table.partitions import check_names, partition_spec, partition_terms
from lakegate.lake.table.properties import FORMAT_VERSION, check_properties, check_together
from lakegate.lake.table.schema import (
    LOGICAL_TYPE_PROPERTY,
    conflicting,
    iceberg_schema,
    is_widening,
    logical_properties,
    logical_type,
    new_columns,
    widened,
)
from lakegate.lake.table.state import TableState, load_state, reload
from lakegate.model import TableName

_audit = logging.getLogger("lakegate.audit")

NEW_TABLE_PROPERTIES = {
    TableProperties.FORMAT_VERSION: FORMAT_VERSION,
    TableProperties.PARQUET_COMPRESSION: "zstd",
    TableProperties.METADATA_PREVIOUS_VERSIONS_MAX: "20",
    TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED: "true",
    # Deletes of other engines do not fail because of concurrent ingest.
    "write.delete.isolation-level": "snapshot",
    MANAGED: "true",
}


def create_table(
    catalog: Catalog,
    name: TableName,
    columns: pa.Schema,
    partition_by: Sequence[str] = (),
    properties: Mapping[str, str] = MappingProxyType({}),
) -> TableState:
    """Create the table, or load the one that another server has just created."""
    schema = iceberg_schema(columns)
    spec = partition_spec(partition_by, schema)
    check_names(spec, schema)
    all_properties = {
        **NEW_TABLE_PROPERTIES,
        **logical_properties(schema, columns),
        **properties,
    }
    check_together(all_properties, reserved=(LOGICAL_TYPE_PROPERTY,))
    identifier = (name.database, name.table)
    try:
        ensure_namespace(catalog, name.database)
        table = catalog.create_table(
            identifier,
            schema,
            location=new_table_location(catalog, name),
            partition_spec=spec,
            properties=all_properties,
        )
    except TableAlreadyExistsError:
        return load_state(catalog, name)
    _audit.info("created table %s", name)
    return with_exclusive_location(catalog, TableState(table), name)


def widen(catalog: Catalog, state: TableState, name: TableName, rows: pa.Schema) -> TableState:
    """Add the columns of `rows` that the table does not have.

    Concurrent writers may do the same: the table gets the union of the columns. Raises
    `ColumnConflictError` if one of them added a column with another type.
    """
    return _evolve(catalog, state, name, rows, longer=())


def ensure_table(
    catalog: Catalog,
    name: TableName,
    default: pa.Schema,
    definition: TableDefinition | None,
    max_columns: int,
) -> TableState:
    """Create the table, or widen it to `definition`; a new one has the columns `default`.

    Raises `LakegateError` (schema_conflict) for a column whose type cannot become the one asked
    for, and for another partitioning; (invalid_argument) for properties that callers may not set,
    and where the table would have more than `max_columns` columns.
    """
    definition = definition or TableDefinition()
    check_properties(definition.properties)
    columns = definition.columns
    try:
        state = load_state(catalog, name)
    except TableMissingError:
        initial = default if columns is None else columns
        check_column_count(len(initial), max_columns)
        state = create_table(
            catalog, name, initial, definition.partition_by or (), definition.properties
        )
    if definition.partition_by is not None:
        _check_partitioning(state, definition.partition_by)
    if columns is not None:
        state = _ensure_columns(catalog, state, name, columns, max_columns)
    return _set_properties(state, definition.properties)


def _ensure_columns(
    catalog: Catalog, state: TableState, name: TableName, columns: pa.Schema, max_columns: int
) -> TableState:
    schema = state.metadata.schema()
    if missing := len(new_columns(columns, state.arrow_schema)):
        check_column_count(len(schema.fields) + missing, max_columns)
    longer = list(conflicting(columns, state.arrow_schema))
    for column in longer:
        if not is_widening(schema.find_field(column), columns.field(column)):
            raise _schema_conflict(schema, columns.field(column))
    try:
        return _evolve(catalog, state, name, columns, longer)
    except ColumnConflictError as error:
        raise LakegateError(ErrorCode.SCHEMA_CONFLICT, str(error)) from error


def _check_partitioning(state: TableState, partition_by: Sequence[str]) -> None:
    schema = state.metadata.schema()
    wanted = partition_terms(partition_spec(partition_by, schema), schema)
    actual = partition_terms(state.metadata.spec(), schema)
    if wanted != actual:
        raise LakegateError(
            ErrorCode.SCHEMA_CONFLICT,
            f"The table is partitioned by {actual or 'nothing'}, not by {wanted or 'nothing'}.",
        )


def _set_properties(state: TableState, properties: Mapping[str, str]) -> TableState:
    current = state.metadata.properties
    changed = {
        key: value
        for key, value in properties.items()
        if key != TableProperties.FORMAT_VERSION and current.get(key) != value
    }
    if not changed:
        return state
    check_together({**current, **changed}, reserved=(LOGICAL_TYPE_PROPERTY,))
    return change_table(state, (), (SetPropertiesUpdate(updates=changed),))


def _evolve(
    catalog: Catalog, state: TableState, name: TableName, columns: pa.Schema, longer: Sequence[str]
) -> TableState:
    failure: Exception = CommitFailedException(f"The schema of {name} changed in every attempt.")
    for attempt in SCHEMA_CHANGE.attempts():
        if attempt > 1:
            state = reload(catalog, name, state.uuid)
        try:
            return _evolve_once(state, columns, longer)
        except (CommitFailedException, CommitOutcomeUnknownError) as error:
            failure = error
    raise failure


def _evolve_once(state: TableState, columns: pa.Schema, longer: Sequence[str]) -> TableState:
    """Add the columns that are missing, if any. Raises `ColumnConflictError`."""
    missing, narrow = _schema_change(state, columns, longer)
    if not missing.names and not narrow:
        return state
    state = _commit_schema(state, missing, narrow)
    missing, narrow = _schema_change(state, columns, longer)
    if missing.names or narrow:  # the answer has a later schema
        raise CommitFailedException("The schema was changed again by another writer.")
    return state


def _schema_change(
    state: TableState, columns: pa.Schema, longer: Sequence[str]
) -> tuple[pa.Schema, list[str]]:
    """Return the missing columns, and those to widen. Raises `ColumnConflictError`."""
    for column in conflicting(columns, state.arrow_schema):
        if column not in longer:
            raise ColumnConflictError(f"Column {column} has another type now.")
    missing = new_columns(columns, state.arrow_schema)
    return missing, [column for column in longer if _is_narrower(state, columns.field(column))]


def _is_narrower(state: TableState, column: pa.Field) -> bool:
    return is_widening(state.metadata.schema().find_field(column.name), column)


def _commit_schema(state: TableState, missing: pa.Schema, longer: Sequence[str]) -> TableState:
    metadata = state.metadata
    added = iceberg_schema(missing, metadata.last_column_id + 1)
    schema_id = max(schema.schema_id for schema in metadata.schemas) + 1
    schema = widened(metadata.schema(), added, longer).model_copy(update={"schema_id": schema_id})
    updates: list[TableUpdate] = [
        AddSchemaUpdate(schema_=schema),
        SetCurrentSchemaUpdate(schema_id=-1),  # the one just added
    ]
    if logical := logical_properties(added, missing):
        updates.append(SetPropertiesUpdate(updates=logical))
    return change_table(
        state,
        (
            AssertCurrentSchemaId(current_schema_id=metadata.current_schema_id),
            AssertLastAssignedFieldId(last_assigned_field_id=metadata.last_column_id),
        ),
        tuple(updates),
    )


def _schema_conflict(schema: Schema, column: pa.Field) -> LakegateError:
    actual = schema.find_field(column.name).field_type
    wanted = logical_type(column) or iceberg_schema(pa.schema([column])).fields[0].field_type
    return LakegateError(
        ErrorCode.SCHEMA_CONFLICT, f"Column {column.name} is {actual} and cannot become {wanted}."
    )
