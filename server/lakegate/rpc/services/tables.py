"""TableService: makes and describes tables."""

import re
from typing import Protocol
from urllib.parse import unquote

import pyarrow as pa

from lakegate.columns.registry import name_of
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.table.tables import TableDescription, TableShape
from lakegate.model import TableName
from lakegate.rpc.request.headers import Context, headers_of, identifier
from lakegate.rpc.services.append import Append
from lakegate.rpc.services.columns import arrow_schema
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
# The path of a REST request, as Envoy passes it on: the message alone does not tell what is
# from the path and what from the body, where the last one counts.
_PATH_KEY = "x-envoy-original-path"
_PATH = re.compile(
    r"/v1/admin/databases/(?P<database>[^/?]+)/tables(?:/(?P<table>[^/?]+))?/?(\?.*)?"
)


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
        """Return a page of names, and the token of the next page."""
        ...


class TableServicer(tables_pb2_grpc.TableServiceServicer):
    """Hands the wishes of callers to the lake."""

    def __init__(self, lake: Tables, default_schema: pa.Schema) -> None:
        """Serve `lake`; a table of no given shape has the columns `default_schema`."""
        self._lake = lake
        self._default_schema = default_schema

    async def EnsureTable(self, request: EnsureTableRequest, context: Context) -> Table:
        """Make the table where it is missing, widen it where it is there."""
        name = _name(context, request.database, request.table)
        description = await self._lake.ensure_table(name, self._default_schema, _shape(request))
        return _table(description)

    async def GetTable(self, request: GetTableRequest, context: Context) -> Table:
        """Describe the table."""
        name = _name(context, request.database, request.table)
        return _table(await self._lake.describe(name))

    async def ListTables(self, request: ListTablesRequest, context: Context) -> ListTablesResponse:
        """List a page of tables."""
        _check_path(context, database=request.database)
        page_size = request.page_size or DEFAULT_PAGE_SIZE
        if not 1 <= page_size <= MAX_PAGE_SIZE:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, f"page_size must be from 1 to {MAX_PAGE_SIZE}"
            )
        tables, next_page_token = await self._lake.list_tables(
            identifier(request.database, "database"), page_size, request.page_token
        )
        return ListTablesResponse(tables=tables, next_page_token=next_page_token)


def _name(context: Context, database: str, table: str) -> TableName:
    _check_path(context, database=database, table=table)
    return TableName(identifier(database, "database"), identifier(table, "table"))


def _check_path(context: Context, **names: str) -> None:
    """Refuse a request that says another name in its body or its query than in its path."""
    sent = headers_of(context).get(_PATH_KEY)
    if sent is None:  # over gRPC there is only the message
        return
    path = _PATH.fullmatch(sent)
    for part, name in names.items():
        if path is None or unquote(path[part] or name) != name:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, f"{part} is {name[:100]!r}, but not in the path"
            )


def _shape(request: EnsureTableRequest) -> TableShape:
    """Return the shape asked for; what is empty is not asked for."""
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
            Column(name=column.name, type=name_of(column.type, column.logical_type))
            for column in description.columns
        ],
        snapshot_id=description.snapshot_id,
        location=description.location,
        partition_by=description.partitioning,
        rows=description.rows,
        data_files=description.data_files,
    )
