"""A retry is no second time: through every door, and on whichever server it lands."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from pyiceberg.catalog.sql import SqlCatalog
from tests.testing.gate.running_gate import NDJSON, RunningGate, read_with_duckdb, running_gate
from tests.testing.postgres import new_database, running_postgres

from lakegate.v1 import ingest_pb2_grpc
from lakegate.v1.ingest_pb2 import GetStreamRequest, IngestRequest, IngestStreamResponse

EVENT = {
    "context": {},
    "query": "SELECT 1",
    "queryId": "once-1",
    "queryState": "FINISHED",
    "timestamp": "2026-03-10T12:00:00Z",
    "duration_ms": 1,
}


@pytest.fixture
async def stub(gate: RunningGate) -> AsyncIterator[ingest_pb2_grpc.IngestServiceStub]:
    async with grpc.aio.insecure_channel(gate.http_addr) as channel:
        yield ingest_pb2_grpc.IngestServiceStub(channel)


def key(value: str) -> dict[str, str]:
    return {"X-Idempotency-Key": value}


def placed(offset: int, table: str, line: str | None = None) -> IngestRequest:
    body = (line or f'{{"n":"{offset}"}}').encode()
    return IngestRequest(table=table, ndjson=body, stream_id="loader/1", offset=offset)


def error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


@pytest.mark.parametrize("retry", ['"k-1"', "k-1"], ids=["quoted", "bare"])
def test_the_standards_key_is_replayed_with_its_body_and_refused_with_another(
    gate: RunningGate, retry: str
) -> None:
    table = f"standard_{len(retry)}"
    first = gate.ingest(table, '{"a":1}', {"Idempotency-Key": '"k-1"'})
    again = gate.ingest(table, '{"a":1}', {"Idempotency-Key": retry})
    other = gate.ingest(table, '{"a":2}', {"Idempotency-Key": retry})
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.json()["replayed"], again.json()["replayed"]) == (False, True)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert [row["a"] for row in gate.rows(table)] == ["1"]


def test_query_events_take_the_standards_key_too(gate: RunningGate) -> None:
    headers = {"Idempotency-Key": '"events-1"'}
    answers = [
        gate.push({**EVENT, "queryId": "bound", "duration_ms": ms}, headers) for ms in (1, 1, 2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert [answer.json()["replayed"] for answer in answers[:2]] == [False, True]


def test_two_keys_that_differ_are_refused(gate: RunningGate) -> None:
    headers = {"Idempotency-Key": '"k-1"', "X-Idempotency-Key": "k-2"}
    answer = gate.ingest("two_keys", '{"a":1}', headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_argument")


def test_a_replay_over_rest_is_the_first_answer_to_the_byte_but_for_replayed(
    gate: RunningGate,
) -> None:
    first = gate.ingest("replayed", '{"a":1}\n{"a":2}', key("k"))
    gate.ingest("replayed", '{"a":3}')
    again = gate.ingest("replayed", "{ the body is not even decoded", key("k"))
    assert first.status_code == again.status_code == 200
    assert first.json()["replayed"] is False
    assert again.content == first.content.replace(b'"replayed":false', b'"replayed":true')
    assert sorted(row["a"] for row in gate.rows("replayed")) == ["1", "2", "3"]


def test_a_refused_body_leaves_its_key_free(gate: RunningGate) -> None:
    assert gate.ingest("corrected", '{"a":', key("k")).status_code == 400
    corrected = gate.ingest("corrected", '{"a":1}', key("k"))
    assert (corrected.status_code, corrected.json()["replayed"]) == (200, False)
    assert [row["a"] for row in gate.rows("corrected")] == ["1"]


def test_a_key_belongs_to_its_table(gate: RunningGate) -> None:
    for table in ("scope_one", "scope_two"):
        assert gate.ingest(table, '{"a":1}', key("shared")).json()["replayed"] is False
        assert len(gate.rows(table)) == 1


def test_a_key_has_at_most_255_characters(gate: RunningGate) -> None:
    refused = gate.ingest("long_key", '{"a":1}', key("k" * 256))
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "invalid_argument"
    assert gate.ingest("long_key", '{"a":2}', key("k" * 255)).status_code == 200
    assert [row["a"] for row in gate.rows("long_key")] == ["2"]


def test_query_events_pushed_again_are_there_once(gate: RunningGate) -> None:
    first = gate.push(EVENT, key("push"))
    again = gate.push([EVENT], key("push"))
    assert first.json()["replayed"] is False
    assert again.json() == {**first.json(), "replayed": True}
    ids = [row["query_id"] for row in gate.rows("query_events")]
    assert ids.count("once-1") == 1


async def test_a_key_is_the_same_through_every_door(
    gate: RunningGate, stub: ingest_pb2_grpc.IngestServiceStub
) -> None:
    request = IngestRequest(table="doors", ndjson=b'{"a":1}', idempotency_key="k")
    first = gate.ingest("doors", '{"a":1}', key("k")).json()
    unary = await stub.Ingest(request)
    streamed = [answer async for answer in stub.IngestStream(iter([request, request]))]
    answers = [unary, *(answer.acknowledgement for answer in streamed)]
    assert [answer.replayed for answer in answers] == [True] * 3
    assert {answer.snapshot_id for answer in answers} == {first["snapshot_id"]}
    assert len(gate.rows("doors")) == 1


async def test_a_stream_with_offsets_is_replayed_refused_at_a_gap_and_goes_on(
    gate: RunningGate, stub: ingest_pb2_grpc.IngestServiceStub
) -> None:
    async def send(*requests: IngestRequest) -> list[IngestStreamResponse]:
        return [answer async for answer in stub.IngestStream(iter(requests))]

    first = await send(*(placed(n, "offsets") for n in range(5)))
    assert not any(answer.acknowledgement.replayed for answer in first)
    again = await send(placed(4, "offsets"), placed(6, "offsets"), placed(5, "offsets", "{"))
    assert again[0].acknowledgement.replayed
    assert again[0].acknowledgement.snapshot_id == first[4].acknowledgement.snapshot_id
    gap = error_info(again[1].error)
    assert (again[1].error.code, gap.reason) == (
        grpc.StatusCode.OUT_OF_RANGE.value[0],
        "OFFSET_OUT_OF_RANGE",
    )
    assert gap.metadata["expected_offset"] in {"5", "6"}  # 5 was on its way, or refused already
    assert error_info(again[2].error).reason == "BAD_REQUEST_BODY"
    stream = await stub.GetStream(GetStreamRequest(table="offsets", stream_id="loader/1"))
    assert stream.next_offset == 5
    assert sorted(row["n"] for row in gate.rows("offsets")) == list("01234")


async def test_where_a_stream_goes_on_is_told_over_rest_too(
    gate: RunningGate, stub: ingest_pb2_grpc.IngestServiceStub
) -> None:
    request = IngestRequest(table="told", ndjson=b"{}", stream_id="s-1", offset=0)
    await stub.Ingest(request)
    base = f"{gate.url}/v1/databases/default/tables/told/streams"
    async with httpx.AsyncClient() as http:
        told = [(await http.get(f"{base}/{stream}")).json() for stream in ("s-1", "unknown")]
    assert told == [
        {"stream_id": "s-1", "next_offset": "1"},
        {"stream_id": "unknown", "next_offset": "0"},
    ]


@pytest.fixture(scope="module")
def two_gates(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningGate, RunningGate, SqlCatalog]]:
    """Two gates that share nothing but a PostgreSQL and the folder of the tables' files."""
    home: Path = tmp_path_factory.mktemp("two_gates")
    (home / "warehouse").mkdir()
    with running_postgres() as server:
        properties = {
            "uri": new_database(server, "catalog"),
            "warehouse": (home / "warehouse").as_uri(),
        }
        settings = {
            "LAKEGATE_CATALOG": "shared",
            "LAKEGATE_LEDGER_URL": new_database(server, "ledger"),
            "PYICEBERG_CATALOG__SHARED__TYPE": "sql",
            "PYICEBERG_CATALOG__SHARED__URI": properties["uri"],
            "PYICEBERG_CATALOG__SHARED__WAREHOUSE": properties["warehouse"],
        }
        with (
            running_gate(home / "one", settings) as one,
            running_gate(home / "two", settings) as two,
            closing(SqlCatalog("shared", **properties)) as catalog,
        ):
            yield one, two, catalog


async def test_of_a_hundred_requests_with_one_key_on_two_servers_one_is_applied(
    two_gates: tuple[RunningGate, RunningGate, SqlCatalog],
) -> None:
    *gates, catalog = two_gates
    limits = httpx.Limits(max_connections=100)
    headers = {"X-Table": "raced", "Content-Type": NDJSON, **key("one")}
    async with httpx.AsyncClient(timeout=60, limits=limits) as http:
        posts = [
            http.post(f"{gates[n % 2].url}/v1/ingest", content='{"a":1}\n{"a":2}', headers=headers)
            for n in range(100)
        ]
        answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {200}
    bodies: list[dict[str, Any]] = [answer.json() for answer in answers]
    assert [body.pop("replayed") for body in bodies].count(True) == 99
    assert all(body == bodies[0] for body in bodies)
    table = catalog.load_table(("default", "raced"))
    assert [str(each.snapshot_id) for each in table.snapshots()] == [bodies[0]["snapshot_id"]]
    rows = read_with_duckdb(table.metadata_location)
    assert sorted(rows["a"].to_pylist()) == ["1", "2"]


async def test_a_key_that_one_server_has_applied_is_replayed_by_the_other(
    two_gates: tuple[RunningGate, RunningGate, SqlCatalog],
) -> None:
    one, two, _ = two_gates
    first = one.ingest("elsewhere", '{"a":1}', key("k"))
    again = two.ingest("elsewhere", '{"a":1}', key("k"))
    assert again.json() == {**first.json(), "replayed": True}
