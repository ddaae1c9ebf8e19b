"""What is wrong with query events is named by its path in the payload. Nothing of it is written."""

import gzip
import json
from typing import Any

import httpx
import pytest
from backports import zstd
from google.protobuf.descriptor import EnumDescriptor
from tests.testing.gate.running_gate import RunningGate

from lakegate.v1 import query_events_pb2 as pb

EVENT: dict[str, Any] = {
    "context": {},
    "queryId": "refused",
    "query": "SELECT 1",
    "queryState": "FINISHED",
    "duration_ms": 1,
    "timestamp": "2026-03-10T12:00:00Z",
}


def refused(gate: RunningGate, body: bytes, **headers: str) -> tuple[int, str, str]:
    """Send what is to be refused; return status, code and message."""
    answer = httpx.post(
        f"{gate.url}/ingest/push/queries",
        content=body,
        headers={"X-Ryft-Token": gate.token, **headers},
        timeout=60,
    )
    assert answer.headers["content-type"] == "application/json"
    assert not [name for name in answer.headers if name.startswith(("grpc-", "lakegate-"))]
    error = answer.json()["error"]
    assert error["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, error["code"], error["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b" ", "the body is empty"),
        (b"hello", "invalid character"),
        (b'{"query":"x"', "expected ',' or '}'"),
        (b'{"query":"x"}{"query":"y"}', "expected ',' or ']'"),
        (b'{"query":"x"},{"query":"y"}', "more than one JSON value"),
        (b'[{"query":"x"}],"x":[]', "trailing characters"),
        (b'{"duration_ms":NaN}', "invalid character"),
        (b'{"query":"\xff"}', "not UTF-8"),
        (b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}", "nests too deep"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason(
    gate: RunningGate, body: bytes, words: str
) -> None:
    status, code, message = refused(gate, body)
    assert (status, code) == (400, "bad_request_body")
    assert words in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"duration_ms": "x"}, 'queries[0].duration_ms must be a number, not "x"'),
        ({"duration_ms": True}, "queries[0].duration_ms must be a number, not true"),
        ({"query": 5}, "queries[0].query must be a string, not 5"),
        ({"queryId": {"a": 1}}, 'queries[0].queryId must be a string, not {"a": 1}'),
        ({"context": "x"}, 'queries[0].context must be an object, not "x"'),
        ({"context": {"userAgent": 5}}, "queries[0].context.userAgent must be a string, not 5"),
        ({"context": []}, "queries[0].context must be an object, not []"),
        ({"tags": ["a", 1]}, "queries[0].tags[1] must be a string, not 1"),
        ({"tags": "a"}, 'queries[0].tags must be an array, not "a"'),
        ({"tags": [None]}, "queries[0].tags[0] must be a string, not null"),
        ([{}, "x"], "queries[1] must be an object, not a string"),
        ([None], "queries[0] must be an object, not null"),
        ([[]], "queries[0] must be an object, not an array"),
        ({"failureInfo": [{}, "x"]}, 'queries[0].failureInfo[1] must be an object, not "x"'),
        ({"failureInfo": [None]}, "queries[0].failureInfo[0] must be an object, not null"),
        ({"failureInfo": "x"}, 'queries[0].failureInfo must be an object or an array, not "x"'),
        (
            [{}, {"failureInfo": [{}, {"errorCode": {"code": "x"}}]}],
            'queries[1].failureInfo[1].errorCode.code must be a number, not "x"',
        ),
        (
            [{"failureInfo": []}, {"failureInfo": {"errorCode": {"code": "x"}}}],
            'queries[1].failureInfo[0].errorCode.code must be a number, not "x"',
        ),
        ([{}, {}, {}, {"duration_ms": "x"}], 'queries[3].duration_ms must be a number, not "x"'),
        ({"query": 'a"b'} | {"duration_ms": '"\\\n'}, "queries[0].duration_ms must be a number"),
        ("x", "queries[0] must be an object, not a string"),
    ],
    ids=json.dumps,
)
def test_a_value_of_the_wrong_type_is_named_by_its_path(
    gate: RunningGate, body: object, message: str
) -> None:
    status, code, said = refused(gate, json.dumps(body).encode())
    assert (status, code) == (400, "invalid_query_event")
    assert said.startswith(message)


@pytest.mark.parametrize("value", ["finished", 1, 1.0, "1", "QUERY_STATE_UNSPECIFIED", 0])
@pytest.mark.parametrize(
    ("field", "path", "enum"),
    [
        ("queryState", "queryState", pb.QueryEvent.QueryState.DESCRIPTOR),
        ("context", "context.queryType", pb.QueryContext.QueryType.DESCRIPTOR),
        (
            "failureInfo",
            "failureInfo[0].errorCode.type",
            pb.ErrorCode.Type.DESCRIPTOR,
        ),
    ],
)
def test_a_value_outside_a_closed_list_is_refused_with_the_list(
    gate: RunningGate, field: str, path: str, enum: EnumDescriptor, value: object
) -> None:
    nested: dict[str, object] = {
        "queryState": value,
        "context": {"queryType": value},
        "failureInfo": {"errorCode": {"type": value}},
    }
    words = ", ".join(word.name for word in enum.values if word.number != 0)
    body = json.dumps([EVENT, EVENT | {field: nested[field]}]).encode()
    status, code, message = refused(gate, body)
    assert (status, code) == (400, "invalid_query_event")
    assert message.startswith(f"queries[1].{path} must be one of {words}")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"queryId":"a","queryId":"b"}', "queries[0].queryId"),
        (b'[{},{"context":{"user":"a","user":"b"}}]', "queries[1].context.user"),
    ],
)
def test_a_doubled_key_is_refused_by_its_path(gate: RunningGate, body: bytes, path: str) -> None:
    assert refused(gate, body) == (400, "invalid_query_event", f"{path} is given twice")


def test_a_long_value_is_not_repeated(gate: RunningGate) -> None:
    _, _, message = refused(gate, json.dumps({"duration_ms": "é" * 100_000}).encode())
    assert message == "queries[0].duration_ms must be a number"


@pytest.mark.parametrize("body", [b'{"query":1%b}', b'{"query":"x","tags":1,"x":1%b}'])
def test_numbers_of_any_length_are_refused_where_they_are_wrong(
    gate: RunningGate, body: bytes
) -> None:
    status, code, message = refused(gate, body % (b"0" * 5_000))
    assert (status, code) == (400, "invalid_query_event")
    assert len(message) < 100


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(json.dumps(EVENT).encode())[:-1]),
        ("gzip", gzip.compress(json.dumps(EVENT).encode())[:-8] + bytes(8)),
        ("gzip", b"hello"),
        ("zstd", zstd.compress(json.dumps(EVENT).encode())[:-1]),
    ],
    ids=["cut short", "wrong checksum", "no gzip", "no whole frame"],
)
def test_a_broken_compressed_body_is_refused(gate: RunningGate, encoding: str, body: bytes) -> None:
    status, code, message = refused(gate, body, **{"Content-Encoding": encoding})
    assert (status, code) == (400, "bad_request_body")
    assert encoding in message
