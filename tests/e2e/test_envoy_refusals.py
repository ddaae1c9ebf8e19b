"""Every refusal over REST has one body, whoever refuses; gRPC keeps its own form."""

from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from tests.testing.gate.echo_gate import EchoGate, free_ports, running_echo_gate
from tests.testing.gate.refusals import refused

from lakegate.edge.process import running_envoy
from lakegate.errors import ErrorCode
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERIES = "/ingest/push/queries"
TABLES = "/v1/admin/databases/d/tables"
STREAM = "/v1/databases/d/tables/t/streams/s"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


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


@pytest.mark.parametrize("query", ["page_siz=3", "page_size=three"])
async def test_a_misspelt_parameter_is_told(gate: EchoGate, query: str) -> None:
    status, code, message = await refused(gate, "GET", f"{TABLES}?{query}")
    assert (status, code) == (400, "invalid_argument")
    assert "page_siz" in message


async def test_grpcs_own_refusals_are_told_in_our_words(gate: EchoGate) -> None:
    answer = await gate.rest.get("/health", headers={"X-Abort": "x-envoy-external-address:65B"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    error = answer.json()["error"]
    assert error["code"] == "overloaded"
    assert error["message"] == "the server is overloaded: try again"


@pytest.mark.parametrize(
    "content_type", ["application/grpcx", "application/grpc-web", "application/grpc;x"]
)
async def test_what_only_begins_like_grpc_is_refused_as_rest_is(
    gate: EchoGate, content_type: str
) -> None:
    headers = {"X-Refuse": "TABLE_NOT_FOUND", "Content-Type": content_type}
    status, code, _ = await refused(gate, "POST", "/v1/ingest", b"x", headers)
    assert (status, code) == (404, "table_not_found")


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
