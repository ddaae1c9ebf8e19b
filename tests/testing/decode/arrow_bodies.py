"""Arrow IPC streams for tests."""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.ipc

from lakegate.decode.arrow.decoder import ArrowDecoder
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, DecodedGroup


def stream(table: pa.Table | Mapping[str, pa.Array], compression: str | None = None) -> bytes:
    if not isinstance(table, pa.Table):
        table = pa.table(table)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def decode(
    *tables: pa.Table | Mapping[str, pa.Array] | bytes,
    schema: pa.Schema = ArrowDecoder.default_schema,
    decoder: ArrowDecoder | None = None,
) -> DecodedGroup:
    bodies = [Body(table if isinstance(table, bytes) else stream(table)) for table in tables]
    group = (decoder or ArrowDecoder()).decode(bodies, schema)
    group.rows.validate(full=True)
    return group


def rows(group: DecodedGroup) -> list[dict[str, object]]:
    return [{k: v for k, v in row.items() if v is not None} for row in group.rows.to_pylist()]


def refusal(group: DecodedGroup, body: int = 0) -> LakegateError:
    outcome = group.outcomes[body]
    assert isinstance(outcome, LakegateError)
    return outcome


def bad_body(group: DecodedGroup, body: int = 0) -> str:
    error = refusal(group, body)
    assert error.code is ErrorCode.BAD_REQUEST_BODY
    return error.message
