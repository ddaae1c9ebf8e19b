"""Anything that speaks HTTP is served: old versions, web hooks, what curl sends by itself."""

import json
from collections.abc import Iterator

import httpx
import pytest
from tests.testing.gate.raw_http import send
from tests.testing.gate.running_gate import RunningGate, running_gate

ROW = b'{"label":"x"}\n'
EVENT = {
    "context": {},
    "queryId": "q",
    "query": "",
    "queryState": "FINISHED",
    "duration_ms": 1,
    "timestamp": "2026-03-10T12:00:00Z",
}
TABLES = "/v1/admin/databases/default/tables"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    with running_gate(tmp_path_factory.mktemp("any_http") / "home") as running:
        yield running


@pytest.mark.parametrize("host", [b"", b"Host: localhost\r\n"], ids=["no host", "host"])
def test_http_1_0_is_served(gate: RunningGate, host: bytes) -> None:
    head = b"POST /v1/ingest HTTP/1.0\r\n%bX-Table: http_1_0\r\nContent-Length: 14\r\n\r\n"
    answer = send(gate.http_addr, head % host, ROW)
    assert (answer.status, answer.json["rows_ingested"]) == (200, 1)


def test_parameters_of_web_hooks_are_ignored(gate: RunningGate) -> None:
    headers = {"X-Table": "hooked", "X-Ryft-Token": gate.token}
    query = "?source=github&data=e30&content_type=text/csv&x-table=other"
    rows = httpx.post(f"{gate.url}/v1/ingest{query}", content=ROW, headers=headers)
    events = httpx.post(
        f"{gate.url}/ingest/push/queries?source=github", json=EVENT, headers=headers
    )
    assert (rows.status_code, events.status_code) == (200, 200), rows.text + events.text
    assert [row["label"] for row in gate.rows("hooked")] == ["x"]
    assert not gate.catalog().table_exists(("default", "other"))


@pytest.mark.parametrize(
    ("method", "path"), [("GET", f"{TABLES}?page_siz=3"), ("POST", f"{TABLES}/t?colums=x")]
)
def test_a_misspelt_parameter_is_refused_where_parameters_are_read(
    gate: RunningGate, method: str, path: str
) -> None:
    answer = httpx.request(method, gate.url + path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_argument")
    assert not gate.catalog().table_exists(("default", "t"))


def test_a_header_with_an_underscore_is_dropped(gate: RunningGate) -> None:
    headers = {"X_Table": "other", "X_Idempotency_Key": "k", "X_Auto_Create": "false"}
    first = gate.ingest("underscores", ROW, headers)
    second = gate.ingest("underscores", ROW, headers)
    assert [first.json()["replayed"], second.json()["replayed"]] == [False, False]
    assert gate.table("underscores").num_rows == 2
    assert not gate.catalog().table_exists(("default", "other"))


def test_a_token_in_a_header_with_an_underscore_is_no_token(gate: RunningGate) -> None:
    answer = httpx.post(
        f"{gate.url}/ingest/push/queries", json=EVENT, headers={"X_Ryft_Token": gate.token}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "media_type",
    [
        None,
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "text/plain; charset=utf-8",
    ],
)
def test_what_is_not_said_to_be_another_format_is_ndjson(
    gate: RunningGate, media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = httpx.post(
        f"{gate.url}/v1/ingest", content=ROW * 2, headers={"X-Table": "untyped", **headers}
    )
    assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 2)


@pytest.mark.parametrize("no", ["false", "0", "no", "off", "FALSE", "No", "OFF"])
def test_a_boolean_has_any_of_its_usual_words(gate: RunningGate, no: str) -> None:
    yes = {"false": "true", "0": "1", "no": "yes", "off": "on"}[no.lower()]
    refused = gate.ingest("not_created", ROW, {"X-Auto-Create": no})
    evolved = gate.ingest("evolved", b'{"a":1}', {"X-Auto-Create": yes, "X-Schema-Evolve": yes})
    fixed = gate.ingest("evolved", b'{"b":1}', {"X-Schema-Evolve": no})
    assert [refused.status_code, evolved.status_code, fixed.status_code] == [404, 200, 200]
    assert "a" in gate.table("evolved").column_names
    assert "b" not in gate.table("evolved").column_names


def test_a_path_that_ends_in_a_slash_is_the_path_without(gate: RunningGate) -> None:
    token = {"X-Ryft-Token": gate.token}
    answers = [
        httpx.get(f"{gate.url}/health/"),
        httpx.post(f"{gate.url}/v1/ingest/", content=ROW, headers={"X-Table": "slashed"}),
        httpx.post(f"{gate.url}/ingest/push/queries/", json=EVENT, headers=token),
        httpx.post(f"{gate.url}{TABLES}/slashed/", json={}),
        httpx.get(f"{gate.url}{TABLES}/slashed/"),
        httpx.get(f"{gate.url}{TABLES}/"),
        httpx.get(f"{gate.url}/v1/databases/default/tables/slashed/streams/s/"),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert answers[4].json()["table"] == "slashed"
    assert "slashed" in answers[5].json()["tables"]


def test_a_misspelt_field_of_a_table_is_refused_by_its_path(gate: RunningGate) -> None:
    path = f"{gate.url}{TABLES}/misspelt"
    column = {"name": "n", "type": "long"}
    for body, where in (
        ({"colums": [column]}, 'no field named "colums"'),
        (
            {"columns": [column, {"name": "m", "typ": "long"}]},
            'no field named "typ" at "EnsureTableRequest.columns[1]"',
        ),
    ):
        answer = httpx.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request_body")
        assert where in answer.json()["error"]["message"]
    assert httpx.get(path).status_code == 404
    made = httpx.post(path, content=json.dumps({"columns": [column], "partitionBy": ["n"]}))
    assert (made.status_code, made.json()["partition_by"]) == (200, ["n"])
