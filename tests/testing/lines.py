"""A simple decoder for tests: one JSON object a line, unknown fields become strings."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from tests.testing.stub_decoder import StubDecoder

from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Batch, Body, DecodedGroup, TableName

ORDERS = TableName("default", "orders")
COLUMNS = pa.schema([("at", pa.timestamp("us", tz="UTC")), ("label", pa.string())])


class LinesDecoder(StubDecoder):
    """Decodes lines; `calls` has the number of bodies of each call."""

    def __init__(self, default_schema: pa.Schema = COLUMNS) -> None:
        self.default_schema = default_schema
        self.calls: list[int] = []

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        self.calls.append(len(bodies))
        outcomes: list[int | LakegateError] = []
        rows: list[dict[str, Any]] = []
        for body in bodies:
            if b"explode" in body.data:
                raise RuntimeError("the decoder has a bug")
            try:
                lines = [json.loads(line) for line in body.data.splitlines()]
            except ValueError as error:
                outcomes.append(LakegateError(ErrorCode.BAD_REQUEST_BODY, str(error)))
            else:
                outcomes.append(len(lines))
                rows.extend(lines)
        new = dict.fromkeys(name for row in rows for name in row if name not in schema.names)
        columns = pa.schema([*schema, *(pa.field(name, pa.string()) for name in new)])
        values = [{name: _value(columns.field(name), row[name]) for name in row} for row in rows]
        return DecodedGroup(pa.Table.from_pylist(values, schema=columns), outcomes)


def _value(column: pa.Field, value: Any) -> Any:
    if value is not None and column.type == pa.string():
        return str(value)
    if pa.types.is_timestamp(column.type):
        return datetime.fromisoformat(value)
    return value


def lines(*rows: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def batch(
    decoder: LinesDecoder,
    *rows: dict[str, Any],
    table: TableName = ORDERS,
    auto_create: bool = True,
) -> Batch:
    return Batch(table, Body(lines(*rows)), decoder, auto_create)


def raw_batch(decoder: LinesDecoder, data: bytes, table: TableName = ORDERS) -> Batch:
    return Batch(table, Body(data), decoder)
