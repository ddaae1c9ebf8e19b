"""The same rows through every gRPC door, over Envoy's port, as generated clients send them."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import grpc
import grpc.aio
import pyarrow as pa
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from tests.testing.gate.examples import ORDERS
from tests.testing.gate.running_gate import RunningGate

from lakegate.v1 import ingest_pb2_grpc, query_events_pb2_grpc, tables_pb2_grpc
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.query_events_pb2 import PushQueriesRequest, QueryContext, QueryEvent
from lakegate.v1.tables_pb2 import EnsureTableRequest, GetTableRequest, ListTablesRequest


@pytest.fixture
async def channel(gate: RunningGate) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(gate.http_addr) as channel:
        yield channel


def orders(table: str, lines: str = ORDERS) -> IngestRequest:
    return IngestRequest(table=table, ndjson=lines.encode())


def error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


async def test_every_door_gives_the_same_table(
    gate: RunningGate, channel: grpc.aio.Channel
) -> None:
    stub = ingest_pb2_grpc.IngestServiceStub(channel)

    def by_line() -> Iterator[IngestRequest]:
        for line in ORDERS.splitlines():
            yield orders("by_stream", line)

    await stub.Ingest(orders("by_unary"))
    answers = [answer async for answer in stub.IngestStream(by_line())]
    gate.ingest("by_rest", ORDERS)
    tables: list[pa.Table] = [
        gate.table(name).sort_by("at") for name in ("by_rest", "by_unary", "by_stream")
    ]
    assert tables[0].num_rows == 3
    assert tables[0] == tables[1] == tables[2]
    assert [answer.acknowledgement.rows_ingested for answer in answers] == [1, 1, 1]


async def test_arrow_and_ndjson_give_the_same_rows(
    gate: RunningGate, channel: grpc.aio.Channel
) -> None:
    rows = pa.table({"order_id": ["o-1", "o-2"], "status": ["placed", None]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    stub = ingest_pb2_grpc.IngestServiceStub(channel)
    await stub.Ingest(IngestRequest(table="by_arrow", arrow_ipc=sink.getvalue().to_pybytes()))
    gate.ingest("by_lines", '{"order_id":"o-1","status":"placed"}\n{"order_id":"o-2"}')
    assert gate.table("by_arrow") == gate.table("by_lines")


async def test_a_bad_batch_of_a_stream_gets_its_error_and_the_others_go_on(
    gate: RunningGate, channel: grpc.aio.Channel
) -> None:
    async def batches() -> AsyncIterator[IngestRequest]:
        yield orders("streamed", '{"a":1}')
        yield orders("streamed", "{")
        yield orders("", '{"a":2}')
        yield orders("streamed", '{"a":3}')

    stub = ingest_pb2_grpc.IngestServiceStub(channel)
    answers = [answer async for answer in stub.IngestStream(batches())]
    assert [answer.WhichOneof("result") for answer in answers] == [
        "acknowledgement",
        "error",
        "error",
        "acknowledgement",
    ]
    assert [error_info(answer.error).reason for answer in answers[1:3]] == [
        "BAD_REQUEST_BODY",
        "MISSING_TABLE_HEADER",
    ]
    assert sorted(row["a"] for row in gate.rows("streamed")) == ["1", "3"]


@pytest.mark.parametrize(
    ("batch", "code", "reason"),
    [
        (orders(""), grpc.StatusCode.INVALID_ARGUMENT, "MISSING_TABLE_HEADER"),
        (orders("No Name"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (IngestRequest(table="t"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (orders("t", "[]"), grpc.StatusCode.INVALID_ARGUMENT, "BAD_REQUEST_BODY"),
        (
            IngestRequest(table="never_made", ndjson=b"{}", auto_create=False),
            grpc.StatusCode.NOT_FOUND,
            "TABLE_NOT_FOUND",
        ),
    ],
)
async def test_a_refusal_is_a_rich_status(
    channel: grpc.aio.Channel, batch: IngestRequest, code: grpc.StatusCode, reason: str
) -> None:
    stub = ingest_pb2_grpc.IngestServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stub.Ingest(batch, metadata=(("x-request-id", "r-grpc"),))
    status = rpc_status.from_call(cast(grpc.Call, refusal.value))
    assert refusal.value.code() is code
    assert status is not None
    info = error_info(status)
    assert (info.reason, info.domain) == (reason, "lakegate")
    assert info.metadata["request_id"] == "r-grpc"


async def test_a_compressed_message_is_refused_and_nothing_is_written(
    channel: grpc.aio.Channel,
) -> None:
    stub: Any = ingest_pb2_grpc.IngestServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Ingest(orders("compressed"), compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    tables: Any = tables_pb2_grpc.TableServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tables.GetTable(GetTableRequest(database="default", table="compressed"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_query_events_come_in_one_by_one_and_as_a_stream(
    gate: RunningGate, channel: grpc.aio.Channel
) -> None:
    def request(query_id: str) -> PushQueriesRequest:
        event = QueryEvent(
            context=QueryContext(),
            query="SELECT 1",
            query_id=query_id,
            query_state=QueryEvent.FINISHED,
            timestamp="2026-03-10T12:00:00Z",
            duration_ms=1,
        )
        return PushQueriesRequest(queries=[event])

    async def requests() -> AsyncIterator[PushQueriesRequest]:
        for query_id in ("grpc-1", "", "grpc-2"):
            yield request(query_id)

    stub = query_events_pb2_grpc.QueryEventServiceStub(channel)
    token = (("x-ryft-token", gate.token),)
    await stub.PushQueries(request("grpc-0"), metadata=token)
    answers = [answer async for answer in stub.StreamQueries(requests(), metadata=token)]
    assert error_info(answers[1].error).reason == "INVALID_QUERY_EVENT"
    ids = {row["query_id"] for row in gate.rows("query_events")}
    assert {"grpc-0", "grpc-1", "grpc-2"} <= ids
    assert "" not in ids


async def test_query_events_need_a_token(channel: grpc.aio.Channel) -> None:
    stub = query_events_pb2_grpc.QueryEventServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as unary:
        await stub.PushQueries(PushQueriesRequest())
    with pytest.raises(grpc.aio.AioRpcError) as stream:
        await stub.StreamQueries(iter([PushQueriesRequest()])).read()
    assert unary.value.code() is stream.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_tables_are_made_described_and_listed(channel: grpc.aio.Channel) -> None:
    stub = tables_pb2_grpc.TableServiceStub(channel)
    made = await stub.EnsureTable(EnsureTableRequest(database="admin", table="provisioned"))
    again = await stub.EnsureTable(EnsureTableRequest(database="admin", table="provisioned"))
    assert (
        made == again == await stub.GetTable(GetTableRequest(database="admin", table="provisioned"))
    )
    assert [(column.name, column.type) for column in made.columns] == [
        ("at", "timestamp"),
        ("label", "string"),
        ("body", "string"),
        ("props", "dynamic"),
    ]
    listed = await stub.ListTables(ListTablesRequest(database="admin"))
    assert list(listed.tables) == ["provisioned"]
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await stub.GetTable(GetTableRequest(database="admin", table="missing"))
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_and_reflection_answer(channel: grpc.aio.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    for service in ("", "lakegate.v1.IngestService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    make_stub: Any = reflection_pb2_grpc.ServerReflectionStub  # typed for blocking channels
    reflection = make_stub(channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = await reflection.ServerReflectionInfo(iter([ask])).read()
    services = {service.name for service in answer.list_services_response.service}
    assert {
        "lakegate.v1.IngestService",
        "lakegate.v1.QueryEventService",
        "lakegate.v1.TableService",
        "grpc.health.v1.Health",
    } <= services
