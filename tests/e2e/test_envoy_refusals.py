"""Every refusal over REST has one body, whoever refuses; gRPC keeps its own form."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import httpx
import pytest
import pytest_asyncio
from backports import zstd
from google.protobuf.descriptor import EnumDescriptor
from tests.testing.gate.echo_gate import EchoGate, free_ports, running_echo_gate
from tests.testing.gate.raw_http import read_answer

from lakegate.edge.process import running_envoy
from lakegate.errors import ErrorCode
from lakegate.v1 import query_events_pb2
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERIES = "/ingest/push/queries"
TABLES = "/v1/admin/databases/d/tables"
STREAM = "/v1/databases/d/tables/t/streams/s"
LIMIT = 64 * 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


async def refused(
    gate: EchoGate,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    """Send what is to be refused; give status, code and message."""
    answer = await gate.rest.request(method, path, content=body, headers=headers)
    assert answer.headers["content-type"] == "application/json"
    assert not [name for name in answer.headers if name.startswith(("grpc-", "lakegate-"))]
    error = answer.json()["error"]
    assert answer.json() == {"error": error}
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, error["code"], error["message"]


@pytest.mark.parametrize("code", list(ErrorCode), ids=lambda code: code.name)
async def test_the_servers_refusals_arrive_in_the_vocabulary(
    gate: EchoGate, code: ErrorCode
) -> None:
    status, name, message = await refused(
        gate, "POST", "/v1/ingest", b"x", {"X-Refuse": code.name, "X-Request-ID": "a:b/c"}
    )
    assert (status, name) == (code.value.http_status, code.value.name)
    assert message == 'no "ü"\n'


async def test_a_refusal_says_when_to_come_again(gate: EchoGate) -> None:
    answer = await gate.rest.post("/v1/ingest", content=b"", headers={"X-Refuse": "OVERLOADED"})
    assert answer.headers["retry-after"] == "3"


async def test_a_refusal_over_grpc_stays_a_grpc_status(gate: EchoGate) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await IngestServiceStub(channel).Ingest(
                IngestRequest(), metadata=(("x-refuse", "TABLE_NOT_FOUND"),)
            )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == 'no "ü"\n'
    assert "grpc-status-details-bin" in dict(caught.value.trailing_metadata() or ())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/ingest", "POST"),
        ("PUT", "/v1/ingest", "POST"),
        ("GET", QUERIES, "POST"),
        ("POST", "/health", "GET"),
        ("DELETE", TABLES, "GET"),
        ("DELETE", f"{TABLES}/t", "GET, POST"),
        *((method, STREAM, "GET") for method in ("POST", "PUT", "DELETE")),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    gate: EchoGate, method: str, path: str, allowed: str
) -> None:
    status, code, message = await refused(gate, method, path)
    assert (status, code) == (405, "method_not_allowed")
    assert method in message
    assert (await gate.rest.request(method, path)).headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/v1/ingests", '/%22"?a="b', "/lakegate.v1.IngestService/X"])
async def test_a_path_that_nobody_knows_is_not_found(gate: EchoGate, path: str) -> None:
    assert (await refused(gate, "POST", path, b"x"))[:2] == (404, "not_found")


async def test_callers_do_not_reach_what_only_envoy_calls(gate: EchoGate) -> None:
    async with grpc.aio.insecure_channel(gate.envoy.http_addr) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(
                "/lakegate.v1.InflateService/InflateTable", request_serializer=bytes
            )(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("query", ["page_siz=3", "page_size=three"])
async def test_a_misspelt_parameter_is_told(gate: EchoGate, query: str) -> None:
    status, code, message = await refused(gate, "GET", f"{TABLES}?{query}")
    assert (status, code) == (400, "invalid_argument")
    assert "page_siz" in message


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


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b'{"query":"x"}')[:-1]),
        ("gzip", gzip.compress(b'{"query":"x"}')[:-8] + bytes(8)),
        ("gzip", b"hello"),
        ("zstd", zstd.compress(b'{"query":"x"}')[:-1]),
    ],
    ids=["cut short", "wrong checksum", "no gzip", "no whole frame"],
)
async def test_a_broken_compressed_body_is_refused(
    gate: EchoGate, encoding: str, body: bytes
) -> None:
    seen = len(gate.echo.queries)
    status, code, _ = await refused(gate, "POST", QUERIES, body, {"Content-Encoding": encoding})
    assert (status, code) == (400, "bad_request_body")
    assert len(gate.echo.queries) == seen


@pytest.mark.parametrize("path", ["/v1/ingest", QUERIES])
async def test_an_unknown_content_encoding_is_refused(gate: EchoGate, path: str) -> None:
    status, code, _ = await refused(gate, "POST", path, b"x", {"Content-Encoding": "br"})
    assert (status, code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(b" " * (LIMIT + 1)), {"Content-Encoding": "gzip"}),
        (zstd.compress(bytes(2 * LIMIT)), {"Content-Encoding": "zstd"}),
    ],
    ids=["gzip", "zstd"],
)
async def test_query_events_over_the_limit_are_refused(
    gate: EchoGate, body: bytes, headers: dict[str, str]
) -> None:
    assert (await refused(gate, "POST", QUERIES, body, headers))[:2] == (413, "body_too_large")


async def test_query_events_over_the_limit_are_refused_without_a_length_too(
    gate: EchoGate,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // (1 << 20) + 1):
            yield b" " * (1 << 20)

    answer = await gate.rest.post(QUERIES, content=body())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", ["/v1/ingest", QUERIES])
async def test_a_length_over_the_limit_is_refused_before_the_body(
    gate: EchoGate, path: str
) -> None:
    calls = len(gate.echo.metadata)
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {LIMIT + 1}\r\n\r\n".encode())
    status, error = await read_answer(reader)
    writer.close()
    assert (status, error["code"]) == (413, "body_too_large")
    assert len(gate.echo.metadata) == calls


async def test_the_limit_itself_is_taken(gate: EchoGate) -> None:
    answer = await gate.rest.post("/v1/ingest", content=bytes(LIMIT))
    assert answer.json()["bytes_written"] == LIMIT


async def test_a_refusal_arrives_while_the_upload_goes_on(gate: EchoGate) -> None:
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(
        b"POST /v1/ingest HTTP/1.1\r\nHost: a\r\n"
        b"X-Refuse-After: 10\r\nContent-Length: 60000000\r\n\r\n"
    )
    writer.write(bytes(1000))  # and the rest never comes
    status, error = await read_answer(reader)
    writer.close()
    assert (status, error) == (413, error | {"code": "body_too_large", "message": "enough"})


async def test_what_is_no_http_is_refused_in_the_vocabulary(gate: EchoGate) -> None:
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\x01b\r\n\r\n")
    status, error = await read_answer(reader)
    writer.close()
    assert (status, error["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("version", [1, 2])
async def test_headers_that_are_too_large_are_refused_in_the_vocabulary(
    gate: EchoGate, version: int
) -> None:
    calls = len(gate.echo.metadata)
    async with httpx.AsyncClient(
        base_url=gate.url, http1=version == 1, http2=version == 2
    ) as client:
        answer = await client.get("/health", headers={"X-Large": "a" * 17_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (431, "invalid_argument")
    assert len(gate.echo.metadata) == calls


async def test_headers_that_nobody_reads_are_refused_in_the_vocabulary(gate: EchoGate) -> None:
    answer = await gate.rest.get("/health", headers={"X-Large": "a" * 100_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (431, "invalid_argument")
    assert answer.json()["error"]["message"] == "the headers are too large"


async def test_grpcs_own_refusals_are_told_in_our_words(gate: EchoGate) -> None:
    answer = await gate.rest.get("/health", headers={"X-Abort": "x-envoy-external-address:65B"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    error = answer.json()["error"]
    assert error["code"] == "overloaded"
    assert error["message"] == "the server has too much to do: try again"


@pytest.mark.parametrize(
    "content_type", ["application/grpcx", "application/grpc-web", "application/grpc;x"]
)
async def test_what_only_begins_like_grpc_is_refused_as_rest_is(
    gate: EchoGate, content_type: str
) -> None:
    headers = {"X-Refuse": "TABLE_NOT_FOUND", "Content-Type": content_type}
    status, code, _ = await refused(gate, "POST", "/v1/ingest", b"x", headers)
    assert (status, code) == (404, "table_not_found")


@pytest.mark.parametrize(
    "coding", ["identity", "xchunked", "gzip, chunked", "chunked, chunked", "gzip"]
)
async def test_a_transfer_encoding_that_is_not_spoken_is_the_callers_fault(
    gate: EchoGate, coding: str
) -> None:
    request = f"POST /v1/ingest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
    status, error = await answer_to(gate, request)
    assert (status, error["code"]) == (400, "invalid_argument")
    assert error["message"] == "Transfer-Encoding must be chunked"


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ("GET /a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "escaped slash"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "fragment"),
        (
            "GET /health HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            400,
            "upgrade",
        ),
        ("GET /health HTTP/1.0\r\nHost: a\r\n\r\n", 426, "HTTP/1.1"),
        ("GET /health HTTP/1.1\r\n\r\n", 400, "no host"),
        ("GET /health HTTP/1.1\r\nHost: a\r\nX_A: b\r\n\r\n", 400, "underscore"),
        ("GET /health HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", 400, "character"),
    ],
)
async def test_what_is_refused_unread_is_told_why(
    gate: EchoGate, request_: str, status: int, words: str
) -> None:
    given, error = await answer_to(gate, request_)
    assert (given, error["code"]) == (status, "invalid_argument")
    assert words in error["message"]


async def test_connect_is_refused_and_nothing_else_happens(gate: EchoGate) -> None:
    # Envoy's log, which the gate looks at, has no error of the script.
    status, error = await answer_to(gate, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (status, error["code"]) == (404, "not_found")


async def test_a_long_path_is_not_repeated(gate: EchoGate) -> None:
    _, _, message = await refused(gate, "GET", "/" + "a" * 10_000)
    assert len(message) < 200


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    # Port 1 is nobody's.
    async with running_envoy(free_ports(), "127.0.0.1:1") as envoy, running_echo_gate() as gate:
        gate.rest.base_url = f"http://{envoy.http_addr}"
        for path, headers in (("/v1/ingest", {}), (QUERIES, {"Content-Encoding": "gzip"})):
            status, code, _ = await refused(gate, "POST", path, b"x", headers)
            assert (status, code) == (503, "unavailable")


async def answer_to(gate: EchoGate, request: str) -> tuple[int, dict[str, str]]:
    """Send a request as it is; give the status and the error."""
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(request.encode())
    async with asyncio.timeout(30):
        answer = await read_answer(reader)
    writer.close()
    return answer
