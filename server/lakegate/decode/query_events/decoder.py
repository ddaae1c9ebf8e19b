"""Query events to Arrow: the raw bytes of `PushQueriesRequest` messages, natively.

No message is ever made into a Python object: ptars turns the bytes of a whole
group into one Arrow table, and the rules of the payload are checked on columns.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import ptars
import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import TIMESTAMP
from lakegate.decode.query_events.rules import (
    ERROR_TYPES,
    QUERY_STATES,
    QUERY_TYPES,
    EnumNames,
    Flattened,
    check,
)
from lakegate.decode.values.timestamps import parse_iso_8601
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, DecodedGroup, MemoryEstimate
from lakegate.v1 import query_events_pb2 as pb

SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string()),
        pa.field("query", pa.string()),
        pa.field("query_state", pa.string()),
        pa.field("timestamp", TIMESTAMP),
        pa.field("duration_ms", pa.float64()),
        pa.field(
            "context",
            pa.struct(
                [
                    pa.field("catalog", pa.string()),
                    pa.field("schema", pa.string()),
                    pa.field("query_type", pa.string()),
                    pa.field("server_version", pa.string()),
                    pa.field("user", pa.string()),
                    pa.field("user_agent", pa.string()),
                ]
            ),
        ),
        pa.field("tags", pa.list_(pa.string())),
        pa.field(
            "failure_info",
            pa.list_(
                pa.struct(
                    [
                        pa.field(
                            "error_code",
                            pa.struct(
                                [
                                    pa.field("type", pa.string()),
                                    pa.field("code", pa.float64()),
                                    pa.field("name", pa.string()),
                                ]
                            ),
                        ),
                        pa.field("failure_message", pa.string()),
                        pa.field("failure_type", pa.string()),
                    ]
                )
            ),
        ),
        pa.field("ingested_at", TIMESTAMP),
    ]
)


# The fields that an event must have, as protobuf has them.
_LEAST_EVENT_BYTES = 40


class QueryEventDecoder:
    """Decodes `lakegate.v1.PushQueriesRequest` messages in their wire form."""

    default_schema = SCHEMA

    def __init__(self) -> None:
        """Prepare the mapping from the message to Arrow."""
        pool = ptars.HandlerPool([pb.DESCRIPTOR])
        self._requests = pool.get_for_message(pb.PushQueriesRequest.DESCRIPTOR)

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Decode a group of requests.

        Refuses a body with `bad_request_body` where it is no such message, and
        with `invalid_query_event` where an event breaks a rule of the payload.
        """
        del schema  # the shape of an event is fixed
        return checked(*self._parse([body.data for body in bodies]))

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Return what events take that are as small as they can be."""
        size = sum(len(body.data) for body in bodies)
        return MemoryEstimate(size, size // _LEAST_EVENT_BYTES * columns)

    def _parse(self, messages: list[bytes]) -> tuple[pa.Array, dict[int, LakegateError]]:
        """Return the events of each message, and which messages are malformed."""
        try:
            return self._events_of(messages), {}
        except ValueError:
            return self._parse_each(messages)

    def _parse_each(self, messages: list[bytes]) -> tuple[pa.Array, dict[int, LakegateError]]:
        refusals: dict[int, LakegateError] = {}
        parsed = []
        for i, message in enumerate(messages):
            try:
                parsed.append(self._events_of([message]))
            except ValueError as error:
                refusals[i] = LakegateError(ErrorCode.BAD_REQUEST_BODY, str(error))
                parsed.append(self._events_of([b""]))
        return pa.concat_arrays(parsed), refusals

    def _events_of(self, messages: list[bytes]) -> pa.Array:
        return self._requests.list_to_record_batch(messages).column("queries")


def checked(requests: pa.ListArray, malformed: dict[int, LakegateError]) -> DecodedGroup:
    """Return the rows of requests whose events keep the rules.

    `malformed`: the requests that cannot be read, which have no events here.
    """
    events = Flattened(requests)
    rows = _rows(events.items)
    refusals = malformed | check(events, rows["timestamp"])
    refused = pc.is_in(events.parent, pa.array(refusals, pa.int64()))
    return DecodedGroup(
        rows=rows.filter(pc.invert(refused)) if refusals else rows,
        outcomes=[
            refusals.get(i, count)
            for i, count in enumerate(pc.list_value_length(requests).to_pylist())
        ],
    )


def _rows(event: pa.StructArray) -> pa.Table:
    """Lay the events out as rows of the table."""
    context = event.field("context")
    failures = event.field("failure_info")
    columns = {
        "query_id": event.field("query_id"),
        "query": event.field("query"),
        "query_state": QUERY_STATES.of(event.field("query_state")),
        "timestamp": parse_iso_8601(event.field("timestamp")),
        "duration_ms": event.field("duration_ms"),
        "context": _with_names(context, ("query_type",), QUERY_TYPES),
        "tags": event.field("tags").cast(SCHEMA.field("tags").type),
        "failure_info": pa.ListArray.from_arrays(
            failures.offsets,
            _with_names(failures.values, ("error_code", "type"), ERROR_TYPES),
        ),
        "ingested_at": pa.repeat(pa.scalar(datetime.now(UTC), TIMESTAMP), len(event)),
    }
    return pa.Table.from_arrays(
        [columns[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA
    )


def _with_names(struct: pa.StructArray, path: tuple[str, ...], names: EnumNames) -> pa.StructArray:
    """Replace the enum numbers at `path` by their names."""
    head, *rest = path
    children = {}
    for field in struct.type:
        child = struct.field(field.name)
        if field.name == head:
            child = _with_names(child, tuple(rest), names) if rest else names.of(child)
        children[field.name] = child
    return pa.StructArray.from_arrays(
        list(children.values()), names=list(children), mask=pc.is_null(struct)
    )
