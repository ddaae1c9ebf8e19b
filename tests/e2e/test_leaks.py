"""No secret is in the log, and every refusal of a token is."""

import gzip
from collections.abc import Iterator

import grpc
import httpx
import pytest
from tests.testing.gate.examples import SINGLE
from tests.testing.gate.running_gate import RunningGate, running_gate

from lakegate.auth.tokens import digest_of, id_of, new_secret
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub
from lakegate.v1.tables_pb2 import Column, EnsureTableRequest
from lakegate.v1.tables_pb2_grpc import TableServiceStub

SECRET = "canary-of-a-secret-1234"  # noqa: S105 - it opens nothing


@pytest.fixture
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    home = tmp_path_factory.mktemp("leaks") / "home"
    with running_gate(home, {"LAKEGATE_LOG_LEVEL": "INFO"}) as running:
        yield running


def log_of(gate: RunningGate) -> str:
    return (gate.home / "log").read_text()


def typed(gate: RunningGate, table: str) -> None:
    with grpc.insecure_channel(gate.http_addr) as channel:
        TableServiceStub(channel).EnsureTable(
            EnsureTableRequest(
                database="default",
                table=table,
                columns=[Column(name="n", type="int"), Column(name="d", type="date")],
            )
        )


def test_no_body_and_no_sql_is_in_the_log(gate: RunningGate) -> None:
    typed(gate, "typed")
    bodies = [
        f'{{"a":"{SECRET}"}}',
        f'{{"a":"{SECRET}',
        f'{{"{SECRET}":1}}',
        f'{{"n":"{SECRET}"}}',
        f'{{"d":"{SECRET}"}}',
        f'{{"at":"{SECRET}"}}',
        SECRET,
    ]
    statuses = {
        gate.ingest(table, body).status_code for table in ("typed", "plain") for body in bodies
    }
    assert statuses == {200, 400}
    squeezed = gzip.compress(SECRET.encode())[:-3]
    assert gate.ingest("plain", squeezed, {"Content-Encoding": "gzip"}).status_code == 400
    arrow = {"Content-Type": "application/vnd.apache.arrow.stream"}
    assert gate.ingest("plain", SECRET, arrow).status_code == 400
    for changes in ({}, {"timestamp": SECRET}, {"queryState": SECRET}, {"duration_ms": SECRET}):
        gate.push(SINGLE | {"query": f"SELECT '{SECRET}'", "queryId": SECRET} | changes)
    with grpc.insecure_channel(gate.http_addr) as channel:
        requests = [IngestRequest(table="typed", ndjson=body.encode()) for body in bodies]
        assert len(list(IngestServiceStub(channel).IngestStream(iter(requests)))) == len(bodies)
    log = log_of(gate)
    assert "refused: bad_request_body" in log
    assert "refused: invalid_query_event" in log
    assert SECRET not in log
    assert "SELECT" not in log


def test_no_token_is_in_the_log_but_who_was_refused_is(gate: RunningGate) -> None:
    wrong = new_secret()
    headers = {"Authorization": f"Bearer {wrong}", "X-Request-ID": "the-intruder"}
    assert gate.ingest("orders", "{}", headers).status_code == 401
    right = {"Authorization": f"Bearer {gate.token}"}
    assert gate.ingest("orders", "{}", right).status_code == 200
    elsewhere = right | {"X-Database": "sales"}
    assert gate.ingest("orders", "{}", elsewhere).status_code == 403
    unreadable = {b"X-Ryft-Token": f"naïve {SECRET}".encode("latin-1")}
    url = f"{gate.url}/ingest/push/queries"
    assert httpx.post(url, json=SINGLE, headers=unreadable).status_code == 401
    log = log_of(gate)
    assert f"refused token {id_of(digest_of(wrong))} at IngestService/IngestBody: unknown" in log
    [line] = [line for line in log.splitlines() if "unknown" in line and "the-intruder" in line]
    assert "lakegate.audit [the-intruder]" in line
    assert "it belongs to the database default" in log
    assert wrong not in log
    assert gate.token is not None
    assert gate.token not in log
    assert SECRET not in log


def test_every_table_made_is_in_the_log_once(gate: RunningGate) -> None:
    typed(gate, "by_hand")
    typed(gate, "by_hand")
    for _ in range(2):
        gate.ingest("by_rows", "{}")
    audit = [line for line in log_of(gate).splitlines() if "lakegate.audit" in line]
    made = [line.partition("created table ")[2] for line in audit if "created table" in line]
    assert sorted(made) == ["default.by_hand", "default.by_rows"]
