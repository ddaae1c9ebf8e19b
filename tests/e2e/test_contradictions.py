"""An option that a request has twice, with values that differ, is refused: neither is guessed."""

import grpc
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.running_gate import RunningGate

from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

CONTRADICTIONS = [
    ("X-Table", "contradicted", "other"),
    ("X-Database", "default", "other"),
    ("X-Idempotency-Key", "a", "b"),
    ("Idempotency-Key", '"a"', '"b"'),
    ("X-Auto-Create", "true", "false"),
    ("X-Schema-Evolve", "false", "true"),
]


@pytest.mark.parametrize(("name", "one", "other"), CONTRADICTIONS)
def test_two_values_of_an_option_are_refused_over_rest(
    gate: RunningGate, name: str, one: str, other: str
) -> None:
    headers = [("X-Table", "contradicted")] if name != "X-Table" else []
    headers += [(name, one), (name, other)]
    answer = httpx.post(f"{gate.url}/v1/ingest", content="{}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_argument")
    assert answer.json()["error"]["message"].startswith(f"{name} is sent twice")
    assert not gate.catalog().table_exists(("default", "contradicted"))


@pytest.mark.parametrize(("name", "one", "other"), CONTRADICTIONS)
def test_two_values_of_an_option_are_refused_over_grpc(
    gate: RunningGate, name: str, one: str, other: str
) -> None:
    metadata = [("x-table", "contradicted")] if name != "X-Table" else []
    metadata += [(name.lower(), one), (name.lower(), other)]
    with grpc.insecure_channel(gate.http_addr) as channel, pytest.raises(grpc.RpcError) as refused:
        IngestServiceStub(channel).IngestBody(iter([HttpBody(data=b"{}")]), metadata=metadata)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"{name} is sent twice" in str(refused.value.details())
    assert not gate.catalog().table_exists(("default", "contradicted"))


def test_two_keys_of_query_events_are_refused(gate: RunningGate) -> None:
    headers = [("X-Ryft-Token", gate.token), ("X-Idempotency-Key", "a"), ("X-Idempotency-Key", "b")]
    answer = httpx.post(f"{gate.url}/ingest/push/queries", json=[], headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_argument")


def test_the_same_value_twice_is_no_contradiction(gate: RunningGate) -> None:
    headers = [("X-Table", "repeated"), ("X-Table", "repeated")]
    answer = httpx.post(f"{gate.url}/v1/ingest", content="{}", headers=headers)
    assert answer.status_code == 200
