"""TableService: makes and describes tables."""

from typing import Protocol

import pyarrow as pa

from lakegate.batches import TableName
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.tables import TableDescription, TableShape
from lakegate.rpc.append import Append
from lakegate.rpc.columns import arrow_schema, type_word
from lakegate.rpc.headers import Context, identifier
from lakegate.v1 import tables_pb2_grpc
from lakegate.v1.tables_pb2 import (
    Column,
    EnsureTableRequest,
    GetTableRequest,
    ListTablesRequest,
    ListTablesResponse,
    Table,
)

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


class Tables(Append, Protocol):
    """What servicers need of the lake. Every method raises `LakegateError`."""

    async def ensure_table(
        self, name: TableName, default: pa.Schema, shape: TableShape | None = None
    ) -> TableDescription:
        """Make a table of the columns `default`, or one of this `shape`."""
        ...

    async def describe(self, name: TableName) -> TableDescription:
        """Describe a table."""
        ...

    async def list_tables(
        self, database: str, page_size: int, page_token: str = ""
    ) -> tuple[list[str], str]:
        """Give a page of names, and the token of the next page."""
        ...


class TableServicer(tables_pb2_grpc.TableServiceServicer):
    """Hands the wishes of callers to the lake."""

    def __init__(self, lake: Tables, default_schema: pa.Schema) -> None:
        """Serve `lake`; a table of no given shape has the columns `default_schema`."""
        self._lake = lake
        self._default_schema = default_schema

    async def EnsureTable(self, request: EnsureTableRequest, context: Context) -> Table:
        """Make the table where it is missing, widen it where it is there."""
        del context
        name = _name(request.database, request.table)
        description = await self._lake.ensure_table(name, self._default_schema, _shape(request))
        return _table(description)

    async def GetTable(self, request: GetTableRequest, context: Context) -> Table:
        """Describe the table."""
        del context
        return _table(await self._lake.describe(_name(request.database, request.table)))

    async def ListTables(self, request: ListTablesRequest, context: Context) -> ListTablesResponse:
        """List a page of tables."""
        del context
        page_size = request.page_size or DEFAULT_PAGE_SIZE
        if not 1 <= page_size <= MAX_PAGE_SIZE:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, f"page_size must be from 1 to {MAX_PAGE_SIZE}"
            )
        tables, next_page_token = await self._lake.list_tables(
            identifier(request.database, "database"), page_size, request.page_token
        )
        return ListTablesResponse(tables=tables, next_page_token=next_page_token)


def _name(database: str, table: str) -> TableName:
    return TableName(identifier(database, "database"), identifier(table, "table"))


def _shape(request: EnsureTableRequest) -> TableShape:
    """Give the shape asked for; what is empty is not asked for."""
    return TableShape(
        columns=arrow_schema(request.columns) if request.columns else None,
        partition_by=list(request.partition_by) or None,
        properties=dict(request.properties),
    )


def _table(description: TableDescription) -> Table:
    return Table(
        database=description.name.database,
        table=description.name.table,
        columns=[
            Column(name=column.name, type=type_word(column.type, column.logical_type))
            for column in description.columns
        ],
        snapshot_id=description.snapshot_id,
        location=description.location,
        partition_by=description.partitioning,
        rows=description.rows,
        data_files=description.data_files,
    )
