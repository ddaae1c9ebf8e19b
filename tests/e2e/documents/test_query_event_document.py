"""The document of Ryft's Ingest API: each sentence and field, with a payload and its answer.

"443 (HTTPS)" is in tests/e2e/test_tls.py.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.testing.gate.running_gate import RunningGate
from tests.testing.gate.sentences import Events, Sentence, check

EXAMPLE: Mapping[str, Any] = {
    "context": {
        "catalog": "iceberg",
        "schema": "gold",
        "queryType": "SELECT",
        "user": "my-service",
        "userAgent": "my-client",
    },
    "timestamp": "2026-03-10T12:00:00.000Z",
    "duration_ms": 100,
    "query": "SELECT * FROM gold.my_table",
    "queryId": "test-001",
    "queryState": "FINISHED",
    "tags": ["source:my-engine"],
}
LEAST = {
    "context": {},
    "queryId": "q",
    "query": "",
    "queryState": "FINISHED",
    "duration_ms": 0,
    "timestamp": "2026-03-10T12:00:00Z",
}
FAILURE: Mapping[str, Any] = {
    "errorCode": {"type": "USER_ERROR", "code": 1, "name": "SYNTAX_ERROR"},
    "failureMessage": "line 1:1: mismatched input",
    "failureType": "io.trino.sql.parser.ParsingException",
}
QUERY_TYPES = "SELECT EXPLAIN DESCRIBE INSERT UPDATE DELETE ANALYZE DATA_DEFINITION"
QUERY_TYPES += " ALTER_TABLE_EXECUTE MERGE"
ERROR_TYPES = ("USER_ERROR", "INTERNAL_ERROR", "INSUFFICIENT_RESOURCES", "EXTERNAL")
UNAUTHENTICATED = {"code": "unauthenticated"}
INVALID = {"code": "invalid_query_event"}


def without(*path: str) -> Events:
    """Return an event without a field."""
    event = json.loads(json.dumps(LEAST | {"failureInfo": FAILURE}))
    parent = event
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return Events(event)


def having(**fields: Any) -> Events:
    return Events(LEAST | fields)


def in_context(**fields: Any) -> Events:
    return having(context=fields)


def failed(**fields: Any) -> Events:
    return having(queryState="FAILED", failureInfo={**FAILURE, **fields})


def accepted(text: str, *requests: Events) -> list[Sentence]:
    return [Sentence(text, [request]) for request in requests]


def refused(text: str, *requests: Events) -> list[Sentence]:
    return [Sentence(text, [request], 400, INVALID) for request in requests]


SENTENCES = [
    Sentence(
        "This token is required to authenticate requests to the Ingest API.",
        [Events(EXAMPLE, token="")],
        401,
        UNAUTHENTICATED,
    ),
    Sentence("a unique ingest token", [Events(EXAMPLE, token="another")], 401, UNAUTHENTICATED),  # noqa: S106 - no secret
    Sentence(
        "A 200 response means the message was accepted and will be processed.",
        [Events(EXAMPLE)],
        answer={"rows_ingested": 1},
        unlike="it is in a snapshot, which the answer names",
    ),
    Sentence(
        "You can send multiple queries in a single request by passing a JSON array",
        [Events([EXAMPLE, LEAST])],
        answer={"rows_ingested": 2, "extent_count": 1},
    ),
    *refused("context … required: yes", without("context")),
    *refused("context object", having(context="iceberg"), having(context=[])),
    *accepted("All fields within are optional — pass {} if no context is available.", in_context()),
    *(
        each
        for name in ("catalog", "schema", "serverVersion", "user", "userAgent")
        for each in (
            *accepted(f"context.{name} string", in_context(**{name: "text"})),
            *refused(f"context.{name} string", in_context(**{name: 5})),
        )
    ),
    *accepted(
        "context.queryType string: one of …",
        *(in_context(queryType=word) for word in QUERY_TYPES.split()),
    ),
    *refused(
        "context.queryType … one of",
        in_context(queryType="select"),
        in_context(queryType=""),
        in_context(queryType="2"),
    ),
    *refused("query string, required: yes", without("query"), having(query=5)),
    *refused("queryId … required: yes", without("queryId"), having(queryId=5)),
    *refused("Unique query identifier (an empty one identifies nothing)", having(queryId="")),
    *refused("queryState … required: yes", without("queryState")),
    *accepted(
        "Terminal query state: FINISHED, SUCCEEDED, or FAILED",
        *(having(queryState=word) for word in ("FINISHED", "SUCCEEDED", "FAILED")),
    ),
    *refused(
        "Terminal query state",
        having(queryState="RUNNING"),
        having(queryState="finished"),
        having(queryState=1),
    ),
    *refused("timestamp … required: yes", without("timestamp"), having(timestamp=5)),
    *accepted(
        "ISO 8601 timestamp of query execution",
        having(timestamp="2026-03-10T12:00:00.000Z"),
        having(timestamp="2026-03-10T13:00:00+01:00"),
    ),
    *refused("ISO 8601 timestamp", having(timestamp="yesterday"), having(timestamp="")),
    *refused("duration_ms … required: yes", without("duration_ms")),
    *accepted("duration_ms number", having(duration_ms=0), having(duration_ms=1230.5)),
    *refused("duration_ms number", having(duration_ms="soon"), having(duration_ms=True)),
    *refused("Execution time in milliseconds (none is negative)", having(duration_ms=-1)),
    *accepted("tags string[] … required: no", having(tags=["a", "b"]), having(tags=[])),
    *refused("tags string[]", having(tags=["a", 1]), having(tags="a")),
    *accepted("failureInfo … Only needed for failed queries", having(queryState="FAILED")),
    *accepted(
        "Can be a single object or an array.",
        having(failureInfo=FAILURE),
        having(failureInfo=[FAILURE, FAILURE]),
    ),
    *refused("failureInfo object or object[]", having(failureInfo="x"), having(failureInfo=["x"])),
    *refused(
        "failureInfo.errorCode.type … yes (within failureInfo)",
        without("failureInfo", "errorCode", "type"),
        without("failureInfo", "errorCode"),
    ),
    *accepted("One of: …", *(failed(errorCode={"type": word}) for word in ERROR_TYPES)),
    *refused("failureInfo.errorCode.type … One of", failed(errorCode={"type": "MINE"})),
    *accepted(
        "failureInfo.errorCode.code number: numeric error code (free-form)",
        failed(errorCode={"type": "EXTERNAL", "code": 65536}),
        failed(errorCode={"type": "EXTERNAL", "code": -1.5}),
    ),
    *refused(
        "failureInfo.errorCode.code number", failed(errorCode={"type": "EXTERNAL", "code": "x"})
    ),
    *accepted(
        "failureInfo.errorCode.name string: error name (free-form)",
        failed(errorCode={"type": "EXTERNAL", "name": "any name"}),
    ),
    *refused(
        "failureInfo.errorCode.name string", failed(errorCode={"type": "EXTERNAL", "name": 5})
    ),
    *accepted("failureInfo.failureMessage string", failed(failureMessage="words")),
    *refused("failureInfo.failureMessage string", failed(failureMessage=5)),
    *accepted("failureInfo.failureType string", failed(failureType="ValueError")),
    *refused("failureInfo.failureType string", failed(failureType=5)),
]


@pytest.mark.parametrize(
    "sentence",
    SENTENCES,
    ids=lambda each: f"{each.text[:50]}: {json.dumps(each.requests[0].body)[-40:]}",
)
def test_a_sentence_about_query_events_is_kept(gate: RunningGate, sentence: Sentence) -> None:
    check(gate, sentence, "query_events")


def test_the_example_of_the_document_reads_back_as_it_was_sent(gate: RunningGate) -> None:
    event = {**EXAMPLE, "queryId": "read-back", "queryState": "FAILED", "failureInfo": FAILURE}
    snapshot = gate.push([event]).json()["snapshot_id"]
    assert gate.catalog().load_table(("default", "query_events")).snapshot_by_id(int(snapshot))
    [row] = [each for each in gate.rows("query_events") if each["query_id"] == "read-back"]
    assert row["query"] == EXAMPLE["query"]
    assert row["query_state"] == "FAILED"
    assert row["timestamp"] == datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert row["duration_ms"] == 100
    assert row["tags"] == ["source:my-engine"]
    assert row["context"] == {
        "catalog": "iceberg",
        "schema": "gold",
        "query_type": "SELECT",
        "server_version": None,
        "user": "my-service",
        "user_agent": "my-client",
    }
    assert row["failure_info"] == [
        {
            "error_code": FAILURE["errorCode"],
            "failure_message": FAILURE["failureMessage"],
            "failure_type": FAILURE["failureType"],
        }
    ]


def test_one_bad_event_of_an_array_refuses_all(gate: RunningGate) -> None:
    """Not in the document: a bulk is written whole or not at all."""
    good, bad = {**EXAMPLE, "queryId": "beside-a-bad-one"}, {**EXAMPLE, "queryState": "RUNNING"}
    assert gate.push([good, bad]).status_code == 400
    seen = {each["query_id"] for each in gate.rows("query_events")}
    assert "beside-a-bad-one" not in seen
