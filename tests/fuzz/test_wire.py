"""Whatever comes over the wire: an answer of the vocabulary that blames nobody but its sender."""

import itertools
import json
import random
import string
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.testing.fuzzing import SECONDS
from tests.testing.gate.examples import BULK, SINGLE
from tests.testing.gate.running_gate import RunningGate
from tests.testing.mutations import TOKENS, Mutations

from lakegate.errors import ErrorCode
from lakegate.v1.ingest_pb2 import GetStreamRequest, IngestRequest
from lakegate.v1.query_events_pb2 import PushQueriesRequest, QueryEvent
from lakegate.v1.tables_pb2 import (
    Column,
    EnsureTableRequest,
    GetTableRequest,
    ListTablesRequest,
)

CALLS = 400 if not SECONDS else round(SECONDS * 20)
OURS = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
CODES = {code.value.name for code in ErrorCode}
TIMEOUT_SECONDS = 60

MESSAGES = {
    "IngestService/Ingest": IngestRequest(table="t", ndjson=b'{"a":1}', idempotency_key="k"),
    "IngestService/IngestStream": IngestRequest(
        table="t", ndjson=b'{"a":1}', stream_id="s", offset=0
    ),
    "IngestService/GetStream": GetStreamRequest(table="t", stream_id="s"),
    "QueryEventService/PushQueries": PushQueriesRequest(queries=[QueryEvent(query_id="q")]),
    "QueryEventService/StreamQueries": PushQueriesRequest(queries=[QueryEvent(query_id="q")]),
    "TableService/EnsureTable": EnsureTableRequest(
        database="default",
        table="t",
        columns=[Column(name="a", type="int"), Column(name="v", type="vector(3)")],
        partition_by=["bucket(16, a)"],
        properties={"write.target-file-size-bytes": "1000"},
    ),
    "TableService/GetTable": GetTableRequest(database="default", table="t"),
    "TableService/ListTables": ListTablesRequest(database="default", page_size=5),
}
BODIES = {
    "/v1/ingest": [b'{"a":1}\n{"b":"x"}'],
    "/ingest/push/queries": [json.dumps(SINGLE).encode(), json.dumps(BULK).encode()],
    "/v1/admin/databases/default/tables/t": [
        b'{"columns":[{"name":"status","type":"int"}],"partition_by":["day(at)"],"properties":{}}'
    ],
}
HEADERS = [
    "X-Table",
    "X-Database",
    "X-Auto-Create",
    "X-Schema-Evolve",
    "X-Idempotency-Key",
    "Idempotency-Key",
]
TYPES = ["application/x-ndjson", "application/json", "text/html", "a/b; c", ""]
ENCODINGS = ["identity", "gzip", "zstd", "br"]


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(None if SECONDS else request.node.name)  # noqa: S311 - no secret


@pytest.mark.parametrize("method", MESSAGES)
def test_no_message_is_the_servers_fault(
    gate: RunningGate, chance: random.Random, method: str
) -> None:
    mutations = Mutations([MESSAGES[method].SerializeToString()], chance)
    metadata = (("x-ryft-token", gate.token),)
    with grpc.insecure_channel(gate.http_addr) as channel:
        unary: Any = channel.unary_unary(f"/lakegate.v1.{method}")
        streams = method.endswith(("IngestStream", "StreamQueries"))
        stream: Any = channel.stream_stream(f"/lakegate.v1.{method}") if streams else None
        for _ in range(CALLS):
            message = mutations.next()
            code, details = outcome(unary, stream, message, metadata)
            assert code not in OURS, (message, details)
            assert "Traceback" not in details


def outcome(unary: Any, stream: Any, message: bytes, metadata: Any) -> tuple[grpc.StatusCode, str]:
    """Call, by the way that the method has, and tell how it ended."""
    try:
        if stream is not None:
            list(stream(iter([message, message]), metadata=metadata, timeout=TIMEOUT_SECONDS))
        else:
            unary(message, metadata=metadata, timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("path", BODIES)
def test_no_request_is_the_servers_fault(
    gate: RunningGate, chance: random.Random, path: str
) -> None:
    mutations = Mutations(BODIES[path], chance)
    with httpx.Client(base_url=gate.url, timeout=TIMEOUT_SECONDS) as http:
        for _ in range(CALLS):
            headers = {"X-Table": "t", "X-Ryft-Token": gate.token or ""} | some_headers(chance)
            body = mutations.next()
            answer = http.post(path, content=body, headers=headers)
            assert answer.status_code < 500, (headers, body, answer.text)
            if answer.status_code != 200:
                error = answer.json()["error"]
                assert error["code"] in CODES, (headers, body)
                assert "Traceback" not in error["message"]


def some_headers(chance: random.Random) -> dict[str, str]:
    """Return headers that are right, wrong, or left out."""
    printable = [token.decode() for token in TOKENS if token.isascii() and token.isalnum()]
    values = [*printable, "true", "FALSE", "t", "default", "x" * 300, *string.punctuation]
    chosen = {name: chance.choice(values) for name in HEADERS if chance.random() < 0.1}
    chosen["Content-Type"] = chance.choice(TYPES)
    if chance.random() < 0.1:
        chosen["Content-Encoding"] = chance.choice(ENCODINGS)
    return chosen


def test_no_path_is_the_servers_fault(gate: RunningGate, chance: random.Random) -> None:
    pieces = [
        "v1",
        "ingest",
        "admin",
        "databases",
        "tables",
        "default",
        "..",
        "%2e",
        "%zz",
        "",
        "é",
    ]
    with httpx.Client(timeout=TIMEOUT_SECONDS) as http:
        for method, length in itertools.product(("GET", "POST", "PUT", "DELETE"), range(8)):
            for _ in range(10):
                path = "/" + "/".join(chance.choice(pieces) for _ in range(length))
                answer = http.request(method, gate.url + path)
                assert answer.status_code < 500, (method, path, answer.text)
    assert Path(gate.home / "warehouse").is_dir()
