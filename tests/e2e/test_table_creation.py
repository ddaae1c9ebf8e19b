"""EnsureTable from outside: what is too large is refused quickly, and nothing is created."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from tests.testing.gate.running_gate import RunningGate

from lakegate.rpc.services.tables import MAX_MESSAGE_BYTES
from lakegate.settings import Settings
from lakegate.v1.tables_pb2 import Column, EnsureTableRequest
from lakegate.v1.tables_pb2_grpc import TableServiceStub

MAX_COLUMNS: int = Settings.model_fields["max_table_columns"].default
MANY = 30_000


@pytest.fixture
def stub(gate: RunningGate) -> Iterator[TableServiceStub]:
    with grpc.insecure_channel(gate.http_addr) as channel:
        yield TableServiceStub(channel)


def columns(count: int, prefix: str = "c") -> list[dict[str, str]]:
    return [{"name": f"{prefix}{number}", "type": "string"} for number in range(count)]


def ensure(gate: RunningGate, database: str, body: object) -> httpx.Response:
    path = f"/v1/admin/databases/{database}/tables/t"
    content = json.dumps(body, separators=(",", ":"))
    return httpx.post(gate.url + path, content=content, timeout=60)


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    error: dict[str, Any] = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


def has(gate: RunningGate, database: str) -> bool:
    with gate.catalog() as catalog:
        return (database,) in catalog.list_namespaces()


def test_a_table_of_too_many_columns_is_refused_and_not_made(gate: RunningGate) -> None:
    status, code, message = refusal(ensure(gate, "many", {"columns": columns(MANY)}))
    assert (status, code) == (400, "invalid_argument")
    assert f"{MANY} columns" in message
    assert f"{MAX_COLUMNS} (LAKEGATE_MAX_TABLE_COLUMNS)" in message
    assert not has(gate, "many")


def test_grpc_refuses_too_many_columns_too(gate: RunningGate, stub: TableServiceStub) -> None:
    wide = [Column(name=f"c{number}", type="string") for number in range(MAX_COLUMNS + 1)]
    with pytest.raises(grpc.RpcError) as refused:
        stub.EnsureTable(EnsureTableRequest(database="wide", table="t", columns=wide))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{MAX_COLUMNS + 1} columns" in (refused.value.details() or "")
    assert not has(gate, "wide")


def test_columns_cannot_be_added_beyond_the_limit(gate: RunningGate) -> None:
    assert ensure(gate, "grown", {"columns": columns(MAX_COLUMNS - 1)}).status_code == 200
    status, code, message = refusal(ensure(gate, "grown", {"columns": columns(2, prefix="d")}))
    assert (status, code) == (400, "invalid_argument")
    assert f"{MAX_COLUMNS + 1} columns" in message
    answer = ensure(gate, "grown", {"columns": [*columns(MAX_COLUMNS - 1), *columns(1, "d")]})
    assert len(answer.json()["columns"]) == MAX_COLUMNS


def test_a_large_grpc_message_is_refused_unparsed(
    gate: RunningGate, stub: TableServiceStub
) -> None:
    request = EnsureTableRequest(
        database="large", table="t", properties={"user.text": "x" * MAX_MESSAGE_BYTES}
    )
    with pytest.raises(grpc.RpcError) as refused:
        stub.EnsureTable(request)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"may have {MAX_MESSAGE_BYTES}" in (refused.value.details() or "")
    assert not has(gate, "large")


@pytest.mark.parametrize(
    "column",
    [
        {"name": "a." * 50_000, "type": "int"},
        {"name": "a" * 100_000, "type": "int"},
        {"name": "a", "type": "struct<" * 50_000},
        {"name": "a", "type": "vector(" + " " * 100_000},
    ],
    ids=["nested name", "long name", "nested type", "long type"],
)
def test_a_long_name_or_type_is_refused_in_few_words(
    gate: RunningGate, column: dict[str, str]
) -> None:
    status, code, message = refusal(ensure(gate, "long", {"columns": [column]}))
    assert (status, code) == (400, "invalid_argument")
    assert len(message) < 500
    assert not has(gate, "long")


def test_json_that_is_nested_deeply_is_refused(gate: RunningGate) -> None:
    depth = 50_000
    nested = '{"columns":[{"name":' + '{"a":' * depth + "1" + "}" * depth + "}]}"
    answer = httpx.post(
        f"{gate.url}/v1/admin/databases/deep/tables/t",
        content=nested,
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    assert refusal(answer)[:2] == (400, "bad_request_body")
    assert not has(gate, "deep")


@pytest.mark.parametrize("body", [[], None, 0, "columns", [{"columns": []}]], ids=json.dumps)
def test_a_definition_that_is_no_object_is_refused(gate: RunningGate, body: object) -> None:
    assert refusal(ensure(gate, "shapes", body)) == (
        400,
        "bad_request_body",
        "the definition of a table is a JSON object",
    )
    assert not has(gate, "shapes")


@pytest.mark.parametrize("term", ["day(" + " " * 500_000, "a" * 500_000])
def test_a_long_partition_term_is_refused_in_few_words(gate: RunningGate, term: str) -> None:
    """The expression that reads terms took time by the square of their length."""
    status, code, message = refusal(ensure(gate, "terms", {"partition_by": [term]}))
    assert (status, code) == (400, "invalid_argument")
    assert len(message) < 500
    assert not has(gate, "terms")
