"""IngestService without a socket: what it makes of a request, and how it ends a call."""

import asyncio
from typing import Any

import grpc
import grpc_testing
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2, status_pb2
from tests.testing.blocking import Blocking
from tests.testing.counting_lake import CountingLake
from tests.testing.stub_decoder import ARROW, NDJSON, StubFormat

from lakegate.model import (
    Batch,
    Body,
    StreamPosition,
    TableName,
)
from lakegate.rpc.flow.admission import Admission
from lakegate.rpc.request.formats import Formats
from lakegate.rpc.services.ingest import IngestServicer
from lakegate.settings import Settings
from lakegate.v1 import acknowledgement_pb2, ingest_pb2
from lakegate.v1.ingest_pb2 import GetStreamRequest, GetStreamResponse, IngestRequest

MAX_BODY_BYTES = 100
SERVICE = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"]


@pytest.fixture
def lake() -> CountingLake:
    return CountingLake()


@pytest.fixture
def server(lake: CountingLake) -> Any:
    admission = Admission.of(Settings(max_body_bytes=MAX_BODY_BYTES))
    servicer = IngestServicer(lake, Formats([NDJSON, ARROW]), admission, asyncio.Event())
    return grpc_testing.server_from_dictionary(
        {SERVICE: Blocking(servicer)}, grpc_testing.strict_real_time()
    )


def ingest_body(server: Any, headers: dict[str, str], *chunks: HttpBody) -> Any:
    method = SERVICE.methods_by_name["IngestBody"]
    call = server.invoke_stream_unary(method, tuple(headers.items()), None)
    for chunk in chunks:
        call.send_request(chunk)
    call.requests_closed()
    return call.termination()


def ingest(server: Any, request: IngestRequest) -> Any:
    method = SERVICE.methods_by_name["Ingest"]
    return server.invoke_unary_unary(method, (), request, None).termination()


def reason(trailing_metadata: Any) -> str:
    metadata = dict(trailing_metadata)
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


def test_a_body_becomes_a_batch_with_the_options_of_its_headers(
    server: Any, lake: CountingLake
) -> None:
    headers = {
        "x-database": "sales",
        "x-table": "orders",
        "x-idempotency-key": "k-1",
        "x-auto-create": "false",
        "x-schema-evolve": "FALSE",
    }
    chunks = (HttpBody(content_type="application/x-ndjson", data=b'{"a":'), HttpBody(data=b"1}"))
    answer, _, code, _ = ingest_body(server, headers, *chunks)
    assert code is grpc.StatusCode.OK
    assert answer == acknowledgement_pb2.Acknowledgement(
        snapshot_id="42", extent_count=1, rows_ingested=3, bytes_written=5183
    )
    assert lake.batches == [
        Batch(
            table=TableName("sales", "orders"),
            body=Body(b'{"a":1}', schema_evolve=False),
            decoder=NDJSON,
            auto_create=False,
            idempotency_key="k-1",
        )
    ]


@pytest.mark.parametrize(
    ("content_type", "decoder"),
    [
        ("application/x-ndjson", NDJSON),
        ("Application/X-NDJSON; charset=utf-8", NDJSON),
        ("", NDJSON),
        ("application/x-www-form-urlencoded", NDJSON),
        ("application/octet-stream", NDJSON),
        ("text/plain", NDJSON),
        ("application/vnd.apache.arrow.stream", ARROW),
    ],
)
def test_the_content_type_chooses_the_decoder(
    server: Any, lake: CountingLake, content_type: str, decoder: StubFormat
) -> None:
    ingest_body(server, {"x-table": "t"}, HttpBody(content_type=content_type, data=b"rows"))
    assert lake.batches[0].decoder is decoder


def test_a_message_becomes_a_batch_with_the_defaults_of_the_contract(
    server: Any, lake: CountingLake
) -> None:
    ingest(server, IngestRequest(table="orders", ndjson=b"{}"))
    ingest(
        server,
        IngestRequest(
            database="sales",
            table="orders",
            arrow_ipc=b"ipc",
            auto_create=False,
            schema_evolve=False,
            idempotency_key="k-2",
        ),
    )
    assert lake.batches == [
        Batch(TableName("default", "orders"), Body(b"{}"), NDJSON),
        Batch(
            TableName("sales", "orders"),
            Body(b"ipc", schema_evolve=False),
            ARROW,
            auto_create=False,
            idempotency_key="k-2",
        ),
    ]


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_refused(server: Any) -> None:
    for size, expected in ((MAX_BODY_BYTES, "OK"), (MAX_BODY_BYTES + 1, "RESOURCE_EXHAUSTED")):
        body = HttpBody(data=b"x" * size)
        message = IngestRequest(table="t", ndjson=b"x" * size)
        assert ingest_body(server, {"x-table": "t"}, body)[2].name == expected
        assert ingest(server, message)[2].name == expected


def test_a_body_too_large_is_refused_before_its_end(server: Any) -> None:
    method = SERVICE.methods_by_name["IngestBody"]
    call = server.invoke_stream_unary(method, (("x-table", "t"),), None)
    call.send_request(HttpBody(data=b"x" * (MAX_BODY_BYTES + 1)))
    _, metadata, _, _ = call.termination()  # the requests are never closed
    assert reason(metadata) == "BODY_TOO_LARGE"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "MISSING_TABLE_HEADER"),
        ({"x-table": "Orders"}, "INVALID_ARGUMENT"),
        ({"x-table": "t", "x-auto-create": "maybe"}, "INVALID_ARGUMENT"),
        ({"x-table": "t", "content-encoding": "br"}, "UNSUPPORTED_MEDIA_TYPE"),
        ({"x-table": "missing"}, "TABLE_NOT_FOUND"),
    ],
)
def test_a_refusal_ends_the_call_with_its_reason_and_writes_nothing(
    server: Any, lake: CountingLake, headers: dict[str, str], expected: str
) -> None:
    _, metadata, code, _ = ingest_body(server, headers, HttpBody(data=b"{}"))
    assert code is not grpc.StatusCode.OK
    assert reason(metadata) == expected
    assert lake.batches == []


def test_a_call_is_answered_with_its_request_id(server: Any) -> None:
    headers = {"x-table": "t", "x-request-id": "r-7"}
    _, metadata, _, _ = ingest_body(server, headers, HttpBody(data=b"{}"))
    assert ("x-request-id", "r-7") in [tuple(each) for each in metadata]


def test_a_stream_answers_every_request_in_order(server: Any, lake: CountingLake) -> None:
    method = SERVICE.methods_by_name["IngestStream"]
    call = server.invoke_stream_stream(method, (), None)
    for table in ("first", "missing", "last"):
        call.send_request(IngestRequest(table=table, ndjson=b"{}"))
    call.requests_closed()
    answers = [call.take_response() for _ in range(3)]
    _, code, _ = call.termination()
    assert code is grpc.StatusCode.OK
    assert [answer.WhichOneof("result") for answer in answers] == [
        "acknowledgement",
        "error",
        "acknowledgement",
    ]
    assert [batch.table.table for batch in lake.batches] == ["first", "last"]


def test_a_batch_of_a_stream_has_its_place(server: Any, lake: CountingLake) -> None:
    ingest(server, IngestRequest(table="t", ndjson=b"{}", stream_id="s", offset=0))
    assert [batch.position for batch in lake.batches] == [StreamPosition("s", 0)]


@pytest.mark.parametrize(
    "request_",
    [
        IngestRequest(table="t", ndjson=b"{}", stream_id="s"),
        IngestRequest(table="t", ndjson=b"{}", offset=0),
        IngestRequest(table="t", ndjson=b"{}", stream_id="s", offset=-1),
        IngestRequest(table="t", ndjson=b"{}", stream_id="s", offset=0, idempotency_key="k"),
        IngestRequest(table="t", ndjson=b"{}", stream_id="s" * 256, offset=0),
        IngestRequest(table="t", ndjson=b"{}", stream_id="s\0", offset=0),
        IngestRequest(table="t", ndjson=b"{}", idempotency_key="k" * 256),
        IngestRequest(table="t", ndjson=b"{}", idempotency_key="k\0"),
    ],
)
def test_what_does_not_name_one_batch_is_refused(
    server: Any, lake: CountingLake, request_: IngestRequest
) -> None:
    _, metadata, code, _ = ingest(server, request_)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(metadata) == "INVALID_ARGUMENT"
    assert lake.batches == []


def test_a_client_that_reconnects_gets_the_next_offset_of_its_stream(server: Any) -> None:
    method = SERVICE.methods_by_name["GetStream"]
    request = GetStreamRequest(table="t", stream_id="s")
    answer, _, code, _ = server.invoke_unary_unary(method, (), request, None).termination()
    assert code is grpc.StatusCode.OK
    assert answer == GetStreamResponse(stream_id="s", next_offset=len("default.t/s"))


def test_a_stream_without_a_name_is_refused(server: Any) -> None:
    method = SERVICE.methods_by_name["GetStream"]
    call = server.invoke_unary_unary(method, (), GetStreamRequest(table="t"), None)
    _, _, code, _ = call.termination()
    assert code is grpc.StatusCode.INVALID_ARGUMENT
