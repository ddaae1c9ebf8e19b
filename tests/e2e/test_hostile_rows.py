"""Rows without end, of any depth, or that storage cannot name: they harm nobody else."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.testing.gate.hostile import quiet_gate
from tests.testing.gate.running_gate import RunningGate

QUERIES = "/ingest/push/queries"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    with quiet_gate(tmp_path_factory.mktemp("hostile") / "home") as running:
        yield running


def test_a_row_that_storage_cannot_name_harms_nobody_else(gate: RunningGate) -> None:
    path = f"{gate.url}/v1/admin/databases/default/tables/by_label"
    columns = [{"name": "label", "type": "string"}]
    answer = httpx.post(path, json={"columns": columns, "partition_by": ["label"]})
    assert answer.status_code == 200
    with ThreadPoolExecutor(8) as senders:
        labels = ["z" * 300 if number % 8 == 0 else f"g{number % 8}" for number in range(64)]
        answers = list(
            senders.map(lambda label: gate.ingest("by_label", json.dumps({"label": label})), labels)
        )
    for label, answer in zip(labels, answers, strict=True):
        assert answer.status_code == (400 if label.startswith("z") else 200), answer.text
        assert "zzz" not in answer.text
    assert len(gate.rows("by_label")) == 56


def test_ten_thousand_columns_in_a_request_become_thirty_two(gate: RunningGate) -> None:
    row = {f"c{i}": i for i in range(10_000)}
    answer = gate.ingest("many_columns", json.dumps(row))
    assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 1)
    [landed] = gate.rows("many_columns")
    assert len(landed) == 4 + 32
    assert len(json.loads(landed["props"])) == 10_000 - 32


def test_a_table_has_at_most_a_thousand_columns(gate: RunningGate) -> None:
    for request in range(40):
        row = {f"r{request}_{i}": i for i in range(32)}
        assert gate.ingest("growing", json.dumps(row)).status_code == 200
    assert gate.table("growing").num_columns == 1000


def test_deep_json_is_refused_or_kept(gate: RunningGate) -> None:
    for depth in (64, 1000, 100_000):
        body = '{"a":' + "[" * depth + "]" * depth + "}"
        answer = gate.ingest("deep", body)
        assert answer.status_code in {200, 400}
        event = httpx.post(
            gate.url + QUERIES,
            content=body,
            headers={"X-Ryft-Token": gate.token or "", "Content-Type": "application/json"},
        )
        assert event.status_code == 400
    assert gate.ingest("deep", "{}").status_code == 200
