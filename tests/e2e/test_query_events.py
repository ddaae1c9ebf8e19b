"""The Ryft document, kept to the letter: query events in over HTTP, read back by DuckDB."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.testing.gate.examples import BULK, SINGLE
from tests.testing.gate.running_gate import RunningGate


def pushed(gate: RunningGate, *query_ids: str) -> list[dict[str, Any]]:
    rows = sorted(gate.rows("query_events"), key=lambda row: str(row["query_id"]))
    return [row for row in rows if row["query_id"] in query_ids]


def test_a_single_object_is_taken(gate: RunningGate) -> None:
    answer = gate.push(SINGLE | {"queryId": "a-single-object"})
    assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 1)
    [row] = pushed(gate, "a-single-object")
    assert row.pop("ingested_at").tzinfo is not None
    assert row == {
        "query_id": "a-single-object",
        "query": "SELECT * FROM gold.my_table",
        "query_state": "FINISHED",
        "timestamp": datetime(2026, 3, 10, 12, tzinfo=UTC),
        "duration_ms": 100.0,
        "context": {
            "catalog": "iceberg",
            "schema": "gold",
            "query_type": "SELECT",
            "server_version": None,
            "user": "my-service",
            "user_agent": "my-client",
        },
        "tags": ["source:my-engine"],
        "failure_info": [],
    }


def test_an_array_is_taken(gate: RunningGate) -> None:
    answer = gate.push(BULK)
    assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 2)
    assert [row["duration_ms"] for row in pushed(gate, "q-123", "q-124")] == [1230.0, 450.0]


@pytest.mark.parametrize("shape", ["object", "array"])
def test_failure_info_is_an_object_or_an_array(gate: RunningGate, shape: str) -> None:
    failure = {"errorCode": {"type": "USER_ERROR", "code": 1}, "failureMessage": "no such table"}
    event = SINGLE | {
        "queryId": f"failed-{shape}",
        "queryState": "FAILED",
        "failureInfo": failure if shape == "object" else [failure],
    }
    assert gate.push(event).status_code == 200
    [row] = pushed(gate, f"failed-{shape}")
    assert row["failure_info"] == [
        {
            "error_code": {"type": "USER_ERROR", "code": 1.0, "name": None},
            "failure_message": "no such table",
            "failure_type": None,
        }
    ]


def test_fields_that_are_not_known_are_ignored(gate: RunningGate) -> None:
    event = SINGLE | {"queryId": "newer", "cluster": "c-1"}
    event["context"] = {"catalog": "iceberg", "region": "eu"}
    assert gate.push(event).status_code == 200
    assert len(pushed(gate, "newer")) == 1


@pytest.mark.parametrize(
    "field", ["context", "query", "queryId", "queryState", "timestamp", "duration_ms"]
)
def test_a_missing_required_field_is_refused_by_its_path(gate: RunningGate, field: str) -> None:
    good = SINGLE | {"queryId": f"beside-missing-{field}"}
    bad = {key: value for key, value in SINGLE.items() if key != field}
    answer = gate.push([good, bad])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_query_event"
    assert f"queries[1].{field}" in answer.json()["error"]["message"]
    assert pushed(gate, f"beside-missing-{field}") == []


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"queryState": "RUNNING"}, "queryState"),
        ({"context": {"queryType": "VACUUM"}}, "context.queryType"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"duration_ms": "fast"}, "duration_ms"),
        ({"failureInfo": {"errorCode": {"type": "GREMLINS"}}}, "failureInfo"),
        ({"failureInfo": {"failureMessage": "no code"}}, "failureInfo[0].errorCode.type"),
    ],
)
def test_a_value_outside_its_list_is_refused_by_its_path(
    gate: RunningGate, changes: dict[str, object], path: str
) -> None:
    query_id = f"outside {path} {changes}"
    answer = gate.push([SINGLE, SINGLE | {"queryId": query_id} | changes])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_query_event"
    assert f"queries[1].{path}" in answer.json()["error"]["message"]


def test_what_is_no_json_is_refused(gate: RunningGate) -> None:
    answer = httpx.post(
        f"{gate.url}/ingest/push/queries",
        content=b'{"queryId": ',
        headers={"X-Ryft-Token": gate.token, "Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request_body"


@pytest.mark.parametrize("token", ["", "wrong"])
def test_without_the_right_token_nothing_is_taken(gate: RunningGate, token: str) -> None:
    answer = gate.push(SINGLE | {"queryId": "intruder"}, {"X-Ryft-Token": token})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"
    gate.push(SINGLE | {"queryId": "after the intruder"})
    assert pushed(gate, "intruder") == []
