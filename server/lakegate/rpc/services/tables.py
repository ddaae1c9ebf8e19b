"""TableService: create, widen, describe and list tables."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import grpc
import grpc.aio
import pyarrow as pa
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.message import Message

from lakegate.columns.registry import name_of
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.table.definition import TableDefinition, check_column_count
from lakegate.lake.table.description import TableDescription
from lakegate.log import TABLE
from lakegate.model import DEFAULT_DATABASE, TableName
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.interceptors.auth import CALLER
from lakegate.rpc.request.headers import Context, headers_of, identifier
from lakegate.rpc.services.append import Append
from lakegate.rpc.services.bodies import BodyReader
from lakegate.rpc.services.columns import arrow_schema
from lakegate.v1 import tables_pb2, tables_pb2_grpc
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
# The largest message of this service, and the largest definition of a table in JSON.
MAX_MESSAGE_BYTES = 1024 * 1024
# The path of a REST request, set by Envoy. The transcoder merges path and query into one
# message, in which the path may have been overwritten.
_PATH_KEY = "x-envoy-original-path"
_PATH = re.compile(
    r"/v1/admin/databases/(?P<database>[^/?]+)/tables(?:/(?P<table>[^/?]+))?/?(\?.*)?"
)


class Tables(Append, Protocol):
    """What this servicer needs of the lake. Every method raises `LakegateError`."""

    async def ensure_table(
        self, name: TableName, default: pa.Schema, definition: TableDefinition | None = None
    ) -> TableDescription:
        """Create a table, or widen it to `definition`; a new one has the columns `default`."""
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
    """Serves the tables of the lake."""

    def __init__(
        self, lake: Tables, default_schema: pa.Schema, max_columns: int, admission: Admission
    ) -> None:
        """Serve `lake`. A table that is made without columns has those of `default_schema`.

        `max_columns`: how many columns a request may have.
        """
        self._lake = lake
        self._default_schema = default_schema
        self._max_columns = max_columns
        self._bodies = BodyReader(admission)

    async def EnsureTable(self, request: EnsureTableRequest, context: Context) -> Table:
        """Create the table, or widen the existing one."""
        check_column_count(len(request.columns), self._max_columns)
        name = _name(context, request.database, request.table)
        definition = await asyncio.to_thread(_definition, request)
        description = await self._lake.ensure_table(name, self._default_schema, definition)
        return await asyncio.to_thread(_table, description)

    async def EnsureTableBody(
        self, chunks: AsyncIterator[EnsureTableBodyRequest], context: Context
    ) -> Table:
        """Take the body of a REST request, the JSON of an `EnsureTableRequest`."""
        body = _Definition(chunks)
        async with self._bodies.reserved(
            CALLER.get().owner(), context, MAX_MESSAGE_BYTES
        ) as reading:
            _, data = await reading.read(body.chunks())
            request = await asyncio.to_thread(_parsed, data)
        _complete(request, "database", body.database)
        _complete(request, "table", body.table)
        return await self.EnsureTable(request, context)

    async def GetTable(self, request: GetTableRequest, context: Context) -> Table:
        """Describe the table."""
        name = _name(context, request.database, request.table)
        return await asyncio.to_thread(_table, await self._lake.describe(name))

    async def ListTables(self, request: ListTablesRequest, context: Context) -> ListTablesResponse:
        """Return a page of names."""
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


def add_table_servicer(servicer: TableServicer, server: grpc.aio.Server) -> None:
    """Register the servicer as generated code does, with a limit on the size of messages."""
    service = tables_pb2.DESCRIPTOR.services_by_name["TableService"]
    handlers: dict[str, Any] = {
        "EnsureTable": grpc.unary_unary_rpc_method_handler(
            servicer.EnsureTable, _bounded(EnsureTableRequest.FromString), Table.SerializeToString
        ),
        "EnsureTableBody": grpc.stream_unary_rpc_method_handler(
            servicer.EnsureTableBody, EnsureTableBodyRequest.FromString, Table.SerializeToString
        ),
        "GetTable": grpc.unary_unary_rpc_method_handler(
            servicer.GetTable, _bounded(GetTableRequest.FromString), Table.SerializeToString
        ),
        "ListTables": grpc.unary_unary_rpc_method_handler(
            servicer.ListTables,
            _bounded(ListTablesRequest.FromString),
            ListTablesResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service.full_name, handlers),)
    )


_M = TypeVar("_M", bound=Message)


def _bounded(parse: Callable[[bytes], _M]) -> Callable[[bytes], _M]:
    """Return `parse` for messages up to the limit; larger ones are refused unparsed."""

    def parse_bounded(message: bytes) -> _M:
        if len(message) > MAX_MESSAGE_BYTES:
            raise LakegateError(
                ErrorCode.BODY_TOO_LARGE,
                f"the request has {len(message)} bytes, and may have {MAX_MESSAGE_BYTES}",
            )
        return parse(message)

    return parse_bounded


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
    text = body.strip()
    if text and not text.startswith(b"{"):  # protobuf's parser takes an empty array, too
        raise LakegateError(
            ErrorCode.BAD_REQUEST_BODY, "the definition of a table is a JSON object"
        )
    try:
        return json_format.Parse(text or b"{}", EnsureTableRequest())
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
    name = TableName(identifier(database, "database"), identifier(table, "table"))
    TABLE.set(str(name))
    return name


def _check_path(context: Context, **names: str) -> None:
    """Refuse a request with another name in its body or its query than in its path."""
    sent = headers_of(context).get(_PATH_KEY)
    if sent is None:  # over gRPC there is only the message
        return
    path = _PATH.fullmatch(sent)
    for part, name in names.items():
        if path is None or unquote(path[part] or name) != name:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, f"{part} is {name[:100]!r}, but not in the path"
            )


def _definition(request: EnsureTableRequest) -> TableDefinition:
    """Return the definition in a request. Empty fields ask for nothing."""
    return TableDefinition(
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
