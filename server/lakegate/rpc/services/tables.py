"""TableService: makes and describes tables."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Protocol
from urllib.parse import unquote

import pyarrow as pa
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format

from lakegate.columns.registry import name_of
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.table.tables import TableDescription, TableShape
from lakegate.model import DEFAULT_DATABASE, TableName
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.interceptors.auth import CALLER
from lakegate.rpc.request.headers import Context, headers_of, identifier
from lakegate.rpc.services.append import Append
from lakegate.rpc.services.bodies import BodyReader
from lakegate.rpc.services.columns import arrow_schema
from lakegate.v1 import tables_pb2_grpc
from lakegate.v1.tables_pb2 import (
    Column,
    EnsureTableBodyRequest,
    EnsureTableRequest,
    GetTableRequest,
    ListTablesRequest,
    ListTablesResponse,
    Table,
)

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
# The largest definition of a table: it is parsed in Python.
MAX_JSON_BYTES = 1024 * 1024
# The path of a REST request, as Envoy passes it on: the message alone does not tell what is
# from the path and what from the body, where the last one counts.
_PATH_KEY = "x-envoy-original-path"
_PATH = re.compile(r"/v1/admin/databases/(?P<database>[^/?]+)/tables(?:/(?P<table>[^/?]+))?(\?.*)?")


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

    def __init__(self, lake: Tables, default_schema: pa.Schema, admission: Admission) -> None:
        """Serve `lake`; a table of no given shape has the columns `default_schema`."""
        self._lake = lake
        self._default_schema = default_schema
        self._bodies = BodyReader(admission)

    async def EnsureTable(self, request: EnsureTableRequest, context: Context) -> Table:
        """Make the table where it is missing, widen it where it is there."""
        name = _name(context, request.database, request.table)
        description = await self._lake.ensure_table(name, self._default_schema, _shape(request))
        return _table(description)

    async def EnsureTableBody(
        self, chunks: AsyncIterator[EnsureTableBodyRequest], context: Context
    ) -> Table:
        """Take the body of a REST request, the JSON of an `EnsureTableRequest`."""
        body = _Definition(chunks)
        async with self._bodies.reserved(CALLER.get().owner(), context, MAX_JSON_BYTES) as reading:
            _, data = await reading.read(body.chunks())
            request = await asyncio.to_thread(_parsed, data)
        _complete(request, "database", body.database)
        _complete(request, "table", body.table)
        return await self.EnsureTable(request, context)

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


class _Definition:
    """The definition of a table in chunks; `database` and `table` are known after the first."""

    def __init__(self, requests: AsyncIterator[EnsureTableBodyRequest]) -> None:
        self.database = ""
        self.table = ""
        self._requests = requests

    async def chunks(self) -> AsyncIterator[HttpBody]:
        """Yield the chunks of the body."""
        async for request in self._requests:
            if not self.database:
                self.database = request.database or DEFAULT_DATABASE
                self.table = request.table
                CALLER.get().check(self.database)
            yield request.definition


def _complete(request: EnsureTableRequest, part: str, name: str) -> None:
    """Set a name of a request, which may have the same one already."""
    if getattr(request, part) not in {"", name}:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"{part} is {getattr(request, part)[:100]!r}, but not in the path",
        )
    setattr(request, part, name)


def _parsed(body: bytes) -> EnsureTableRequest:
    """Parse the JSON of a definition. Blocks. Raises `LakegateError`."""
    try:
        return json_format.Parse(body or b"{}", EnsureTableRequest())
    except json_format.ParseError as error:
        reason = str(error).partition("\n")[0]
        raise LakegateError(
            ErrorCode.BAD_REQUEST_BODY, f"the body is not the definition of a table: {reason}"
        ) from None
    except (UnicodeDecodeError, RecursionError):
        raise LakegateError(
            ErrorCode.BAD_REQUEST_BODY, "the body is not UTF-8, or nests too deep"
        ) from None


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
