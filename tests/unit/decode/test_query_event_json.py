"""Query events in JSON become the rows that the same events in protobuf become."""

import json
import random
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import json_format

from lakegate.decode.limits import MAX_LINES
from lakegate.decode.query_events.decoder import QueryEventDecoder
from lakegate.decode.query_events.json_decoder import JsonQueryEventDecoder
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body
from lakegate.v1.query_events_pb2 import PushQueriesRequest

Event = dict[str, Any]

MESSAGES, JSON = QueryEventDecoder(), JsonQueryEventDecoder()
FAILURES: list[Event] = [
    {"errorCode": {"type": "USER_ERROR", "code": 1, "name": "SYNTAX_ERROR"}},
    {"errorCode": {"type": "EXTERNAL"}, "failureMessage": "ü\n", "failureType": "T"},
    {"errorCode": {"type": "INTERNAL_ERROR", "code": -1.5}, "failureMessage": ""},
]
OPTIONAL: dict[str, list[Any]] = {
    "tags": [None, [], ["a"], ["a:b", "", "ü"]],
    "failureInfo": [None, [], FAILURES[0], FAILURES[1], FAILURES, [FAILURES[2]]],
}
CONTEXT: dict[str, list[Any]] = {
    "catalog": [None, "", "iceberg"],
    "schema": [None, "gold"],
    "queryType": [None, "SELECT", "MERGE", "ALTER_TABLE_EXECUTE"],
    "serverVersion": [None, "476"],
    "user": [None, "svc"],
    "userAgent": [None, "client"],
}


def an_event(chance: random.Random, number: int) -> Event:
    """Return an event; what may be left out is at times, or null."""
    event: Event = {
        "context": some_of(chance, CONTEXT),
        "queryId": f"q-{number}",
        "query": chance.choice(["", "SELECT '\"failureInfo\":{}'", "a\n\tb\r\n", "ü"]),
        "queryState": chance.choice(["FINISHED", "SUCCEEDED", "FAILED"]),
        "timestamp": "2026-03-10T12:00:00.123Z",
        "duration_ms": chance.choice([0, 1, 0.5, 1e300]),
        **some_of(chance, OPTIONAL),
    }
    keys = list(event)
    chance.shuffle(keys)
    return {key: event[key] for key in keys}


def some_of(chance: random.Random, choices: dict[str, list[Any]]) -> Event:
    return {key: chance.choice(values) for key, values in choices.items() if chance.random() < 0.8}


def as_message(events: list[Event]) -> bytes:
    """Encode events in protobuf, where one failure is a list of one."""
    listed = [
        event | ({"failureInfo": [failure]} if isinstance(failure, dict) else {})
        for event in events
        for failure in [event.get("failureInfo")]
    ]
    return json_format.ParseDict({"queries": listed}, PushQueriesRequest()).SerializeToString()


def decoded(decoder: Any, bodies: list[bytes]) -> tuple[pa.Table, list[int]]:
    group = decoder.decode([Body(body) for body in bodies], decoder.default_schema)
    return group.rows.drop(["ingested_at"]), list(group.outcomes)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("seed", range(5))
def test_events_are_the_same_in_json_and_in_protobuf(seed: int, indent: int | None) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    bodies = [
        [an_event(chance, number) for number in range(chance.randint(0, 40))] for _ in range(5)
    ]
    encoded = [json.dumps(events, indent=indent).encode() for events in bodies]
    assert decoded(JSON, encoded) == decoded(MESSAGES, [as_message(events) for events in bodies])


def test_a_refused_body_of_a_group_leaves_the_others_alone() -> None:
    chance = random.Random(1)  # noqa: S311 - no secret
    good = [json.dumps(an_event(chance, number)).encode() for number in range(2)]
    group = JSON.decode([Body(good[0]), Body(b"{"), Body(b"[]"), Body(good[1])], pa.schema([]))
    assert group.rows["query_id"].to_pylist() == ["q-0", "q-1"]
    assert [each.code if isinstance(each, LakegateError) else each for each in group.outcomes] == [
        1,
        ErrorCode.BAD_REQUEST_BODY,
        0,
        1,
    ]


def test_more_objects_than_memory_is_estimated_for_are_refused() -> None:
    group = JSON.decode([Body(b"[" + b"{}," * MAX_LINES + b"{}]")], pa.schema([]))
    [outcome] = group.outcomes
    assert isinstance(outcome, LakegateError)
    assert outcome.code is ErrorCode.BODY_TOO_LARGE


def test_of_many_faults_the_first_are_listed() -> None:
    group = JSON.decode([Body(b"[" + b"{}," * 100_000 + b"{}]"), Body(b"{}")], pa.schema([]))
    for outcome in group.outcomes:
        assert isinstance(outcome, LakegateError)
        assert outcome.message == "queries[0].context is required"
        assert [each.field for each in outcome.violations[:2]] == [
            "queries[0].context",
            "queries[0].query",
        ]


def test_json_of_any_depth_is_refused_and_fails_no_other_body() -> None:
    good = json.dumps(an_event(random.Random(1), 0)).encode()  # noqa: S311 - no secret
    for depth in range(800, 1000):  # the parsers of Python nest about 1,000 levels
        nested = b"[" * depth + b"]" * depth
        bodies = [b'{"query":%b}' % nested, good, b'{"query":1,"x":%b}' % nested]
        group = JSON.decode([Body(body) for body in bodies], pa.schema([]))
        assert [isinstance(each, LakegateError) for each in group.outcomes] == [True, False, True]
        assert len(group.rows) == 1


@pytest.mark.parametrize("failure", [FAILURES[0], FAILURES])
def test_an_escaped_name_of_a_field_is_the_same_name(failure: object) -> None:
    event = an_event(random.Random(1), 0) | {"failureInfo": failure}  # noqa: S311 - no secret
    body = json.dumps(event).encode()
    escaped = body.replace(b"failureInfo", b"failure\\u0049nfo")
    assert decoded(JSON, [escaped]) == decoded(JSON, [body])
