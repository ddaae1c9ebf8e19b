"""What Envoy refuses of query events is told in the names of the payload."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.protobuf.descriptor import EnumDescriptor
from tests.testing.gate.echo_gate import EchoGate, running_echo_gate
from tests.testing.gate.refusals import refused

from lakegate.v1 import query_events_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERIES = "/ingest/push/queries"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"hello", "Unexpected token."),
        (b" ", "Expected a value."),
        (b'{"query":"x"', "Unexpected end of string."),
        (b'{"query":"x"}{"query":"y"}', "Parsing terminated before end of input."),
        (b'{"duration_ms":NaN}', "Unexpected token."),
        (b'{"query":"\xff"}', "Encountered non UTF-8 code points."),
        (b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}", "Message too deep."),
    ],
)
async def test_what_is_no_json_is_refused_with_the_decoders_words(
    gate: EchoGate, body: bytes, words: str
) -> None:
    status, code, message = await refused(gate, "POST", QUERIES, body)
    assert (status, code) == (400, "bad_request_body")
    assert words in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"duration_ms": "x"}, 'queries[0].duration_ms must be a number, not "x"'),
        ({"duration_ms": True}, "queries[0].duration_ms must be a number, not true"),
        ({"query": 5}, "queries[0].query must be a string, not 5"),
        ({"queryId": {"a": 1}}, "queries[0].queryId must not be an object"),
        ({"context": "x"}, 'queries[0].context must be an object, not "x"'),
        ({"context": {"userAgent": 5}}, "queries[0].context.userAgent must be a string, not 5"),
        ({"context": []}, "queries[0] has a field that must not be an array"),
        ({"tags": ["a", 1]}, "queries[0].tags must hold strings, not 1"),
        ([{}, "x"], 'queries[1] must be an object, not "x"'),
        ({"failureInfo": [{}, "x"]}, 'queries[0].failureInfo[1] must be an object, not "x"'),
        ({"failureInfo": "x"}, 'queries[0].failureInfo[0] must be an object, not "x"'),
        (
            [{}, {"failureInfo": [{}, {"errorCode": {"code": "x"}}]}],
            'queries[1].failureInfo[1].errorCode.code must be a number, not "x"',
        ),
        ([{}, {}, {}, {"duration_ms": "x"}], 'queries[3].duration_ms must be a number, not "x"'),
        ({"query": 'a"b'} | {"duration_ms": '"\\\n'}, "queries[0].duration_ms must be a number"),
        ("x", 'queries[0] must be an object, not "x"'),
    ],
    ids=json.dumps,
)
async def test_a_value_of_the_wrong_type_is_named_by_its_path(
    gate: EchoGate, body: object, message: str
) -> None:
    status, code, said = await refused(
        gate, "POST", QUERIES, json.dumps(body).encode(), {"X-Request-ID": "a:b/c"}
    )
    assert (status, code) == (400, "invalid_query_event")
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("event", "path", "enum"),
    [
        (
            {"queryState": "finished"},
            "queries[0].queryState",
            query_events_pb2.QueryEvent.QueryState.DESCRIPTOR,
        ),
        (
            {"context": {"queryType": "finished"}},
            "queries[0].context.queryType",
            query_events_pb2.QueryContext.QueryType.DESCRIPTOR,
        ),
        (
            {"failureInfo": {"errorCode": {"type": "finished"}}},
            "queries[0].failureInfo[0].errorCode.type",
            query_events_pb2.ErrorCode.Type.DESCRIPTOR,
        ),
    ],
)
async def test_a_word_outside_its_list_is_told_the_list(
    gate: EchoGate, event: object, path: str, enum: EnumDescriptor
) -> None:
    words = ", ".join(value.name for value in enum.values if value.number != 0)
    assert await refused(gate, "POST", QUERIES, json.dumps(event).encode()) == (
        400,
        "invalid_query_event",
        f'{path} must be one of {words}, not "finished"',
    )


async def test_a_long_value_is_not_repeated(gate: EchoGate) -> None:
    body = json.dumps({"duration_ms": "é" * 100_000}).encode()
    _, _, message = await refused(gate, "POST", QUERIES, body)
    assert message == "queries[0].duration_ms must be a number"
