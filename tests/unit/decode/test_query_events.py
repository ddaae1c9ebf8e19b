"""Query events, from the bytes of their messages to the rows of their table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import json_format

from lakegate.decode.query_events.decoder import QueryEventDecoder
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, DecodedGroup
from lakegate.v1.query_events_pb2 import PushQueriesRequest

Event = dict[str, Any]

DECODER = QueryEventDecoder()


def event(**changes: object) -> Event:
    whole = {
        "context": {"catalog": "iceberg", "queryType": "SELECT", "userAgent": "my-client"},
        "timestamp": "2026-03-10T12:00:00.123Z",
        "duration_ms": 100.5,
        "query": "SELECT 1",
        "queryId": "q-1",
        "queryState": "FINISHED",
        "tags": ["a:b", "c"],
    } | changes
    return {key: value for key, value in whole.items() if value is not None}


def body(*events: Event) -> Body:
    message = json_format.ParseDict({"queries": list(events)}, PushQueriesRequest())
    return Body(message.SerializeToString())


def decode(*bodies: Body) -> DecodedGroup:
    return DECODER.decode(bodies, DECODER.default_schema)


def refusal(*bodies: Body) -> LakegateError:
    outcome = decode(*bodies).outcomes[0]
    assert isinstance(outcome, LakegateError)
    return outcome


def test_an_event_becomes_a_row_with_its_nesting_kept() -> None:
    [row] = decode(body(event())).rows.to_pylist()
    ingested_at = row.pop("ingested_at")
    assert row == {
        "query_id": "q-1",
        "query": "SELECT 1",
        "query_state": "FINISHED",
        "timestamp": datetime(2026, 3, 10, 12, 0, 0, 123_000, UTC),
        "duration_ms": 100.5,
        "context": {
            "catalog": "iceberg",
            "schema": None,
            "query_type": "SELECT",
            "server_version": None,
            "user": None,
            "user_agent": "my-client",
        },
        "tags": ["a:b", "c"],
        "failure_info": [],
    }
    assert datetime.now(UTC) - ingested_at < timedelta(minutes=1)


def test_failures_keep_what_is_given_and_leave_the_rest_null() -> None:
    failures = [
        {
            "errorCode": {"type": "USER_ERROR", "code": 1, "name": "SYNTAX_ERROR"},
            "failureMessage": "line 1:1",
            "failureType": "ParsingException",
        },
        {"errorCode": {"type": "EXTERNAL"}},
    ]
    failed = event(queryState="FAILED", failureInfo=failures)
    [row] = decode(body(failed)).rows.to_pylist()
    assert row["failure_info"] == [
        {
            "error_code": {"type": "USER_ERROR", "code": 1.0, "name": "SYNTAX_ERROR"},
            "failure_message": "line 1:1",
            "failure_type": "ParsingException",
        },
        {
            "error_code": {"type": "EXTERNAL", "code": None, "name": None},
            "failure_message": None,
            "failure_type": None,
        },
    ]


def test_an_empty_context_is_enough() -> None:
    [row] = decode(body(event(context={}))).rows.to_pylist()
    assert set(row["context"].values()) == {None}


@pytest.mark.parametrize(
    "field", ["context", "query", "queryId", "queryState", "timestamp", "duration_ms"]
)
def test_a_missing_required_field_is_refused_by_its_path(field: str) -> None:
    error = refusal(body(event(), event(), event(), event(**{field: None})))
    assert error.code is ErrorCode.INVALID_QUERY_EVENT
    assert error.message == f"queries[3].{field} is required"


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"queryState": 9}, "queryState"),
        ({"context": {"queryType": 99}}, "context.queryType"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-02-30T00:00:00Z"}, "timestamp"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"duration_ms": "NaN"}, "duration_ms"),
        ({"duration_ms": "Infinity"}, "duration_ms"),
        ({"failureInfo": [{}]}, "failureInfo[0].errorCode.type"),
        (
            {"failureInfo": [{"errorCode": {"type": 1}}, {"errorCode": {"type": 9}}]},
            "failureInfo[1].errorCode.type",
        ),
    ],
)
def test_a_value_outside_its_list_is_refused_by_its_path(changes: Event, path: str) -> None:
    error = refusal(body(event(), event(**changes)))
    assert error.code is ErrorCode.INVALID_QUERY_EVENT
    assert error.message.startswith(f"queries[1].{path} ")
    assert [violation.field for violation in error.violations] == [f"queries[1].{path}"]


def test_every_breach_is_listed_in_the_order_of_the_events() -> None:
    error = refusal(body(event(query=None), event(), event(timestamp="x", queryId=None)))
    assert [violation.field for violation in error.violations] == [
        "queries[0].query",
        "queries[2].queryId",
        "queries[2].timestamp",
    ]


def test_bad_members_of_a_group_leave_the_others_alone() -> None:
    group = decode(
        body(event(queryId="a"), event(queryId="b")),
        Body(b"\xff\xff"),
        body(),
        body(event(queryId="c"), event(duration_ms=-1)),
        body(event(queryId="d")),
    )
    assert group.rows["query_id"].to_pylist() == ["a", "b", "d"]
    codes = [
        outcome.code.value.name if isinstance(outcome, LakegateError) else outcome
        for outcome in group.outcomes
    ]
    assert codes == [2, "bad_request_body", 0, "invalid_query_event", 1]


def test_rows_have_the_types_of_the_table() -> None:
    assert decode(body(event())).rows.schema == DECODER.default_schema
    assert decode(body()).rows.schema == DECODER.default_schema
    assert DECODER.default_schema.field("timestamp").type == pa.timestamp("us", "UTC")


def test_unknown_fields_of_newer_clients_are_ignored() -> None:
    field_99_as_varint_7 = b"\x98\x06\x07"
    known = PushQueriesRequest.FromString(body(event()).data).queries[0].SerializeToString()
    extended = known + field_99_as_varint_7
    message = b"\x0a" + _varint(len(extended)) + extended
    assert decode(Body(message)).outcomes == [1]


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])
