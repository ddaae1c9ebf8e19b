"""The REST document: the answer, the schema model and the failure modes, sentence by sentence."""

import json
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest
from tests.testing.gate.running_gate import RunningGate
from tests.testing.gate.sentences import Rows, Sentence, check

from lakegate.settings import Settings

ORDERS = """\
{"_timestamp":"2026-05-02T10:00:00Z","order_id":"o-1","amount_cents":4200,"status":"placed"}
{"_timestamp":"2026-05-02T10:00:04Z","order_id":"o-2","amount_cents":1850,"status":"placed"}
{"_timestamp":"2026-05-02T10:00:09Z","order_id":"o-1","amount_cents":4200,"status":"shipped"}
"""
KEY = {"X-Idempotency-Key": "the same key"}
NOON = datetime(2026, 5, 2, 12, tzinfo=UTC)

SENTENCES = [
    Sentence(
        "End-to-end example … Response on success",
        [Rows(ORDERS)],
        answer={"extent_count": 1, "rows_ingested": 3, "replayed": False},
        rows=(
            {"order_id": "o-1", "amount_cents": "4200", "status": "placed"},
            {"order_id": "o-2", "amount_cents": "1850", "status": "placed"},
            {"order_id": "o-1", "amount_cents": "4200", "status": "shipped"},
        ),
        unlike="the snapshot_id is a number of Iceberg in digits, not a UUID",
    ),
    Sentence(
        "replayed is true only when the same X-Idempotency-Key was already applied",
        [Rows('{"n":1}', KEY), Rows('{"n":1}', KEY)],
        answer={"replayed": True, "rows_ingested": 1},
        rows=({"n": "1"},),
        snapshots=1,
    ),
    Sentence(
        "the body in that case is ignored entirely and the cached ack is returned.",
        [Rows('{"n":1}', KEY), Rows("no json at all", KEY)],
        answer={"replayed": True, "rows_ingested": 1},
        rows=({"n": "1"},),
        unlike="with Idempotency-Key, the header of the IETF draft, another body is 422",
    ),
    *(
        Sentence(
            f"at … Auto-populated from at, timestamp, or _timestamp if present. ({name})",
            [Rows(json.dumps({name: "2026-05-02T12:00:00Z"}))],
            rows=({"at": NOON, "props": None},),
        )
        for name in ("at", "timestamp", "_timestamp")
    ),
    Sentence("at … if present", [Rows('{"label":"a"}')], rows=({"at": None, "label": "a"},)),
    Sentence(
        "label string Free-form short kind name. body string Primary text payload",
        [Rows('{"label":"kind","body":"a long text"}')],
        rows=({"label": "kind", "body": "a long text"},),
    ),
    Sentence(
        "props dynamic Catch-all for anything not promoted to a typed column.",
        [Rows('{"props":{"a":[1,{"b":null}]}}')],
        rows=({"props": '{"a":[1,{"b":null}]}'},),
    ),
    Sentence(
        "Any other top-level field in your NDJSON becomes a new string column on first write",
        [Rows('{"s":"t","n":1.50,"o":{"a":1},"l":[1,2],"b":true,"z":null}')],
        rows=({"s": "t", "n": "1.50", "o": '{"a":1}', "l": "[1,2]", "b": "true"},),
        unlike="a field that is null in all rows makes no column",
    ),
    Sentence(
        "Schema drift between lines. … You see one ack with the post-flush snapshot id.",
        [Rows('{"a":1}\n{"b":2}\n{"a":3,"c":4}\n')],
        answer={"rows_ingested": 3},
        rows=(
            {"a": "1", "b": None, "c": None},
            {"a": None, "b": "2", "c": None},
            {"a": "3", "b": None, "c": "4"},
        ),
        snapshots=1,
        unlike="one snapshot has all lines: nothing is flushed in between",
    ),
    Sentence(
        "NDJSON parse error. 400 bad_request_body with the offending decoder error in the "
        "message. The whole batch is rejected — no partial commits.",
        [Rows('{"n":1}'), Rows('{"n":2}\n{"n":}\n{"n":3}')],
        400,
        {"code": "bad_request_body"},
        rows=({"n": "1"},),
    ),
]


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.text[:60])
def test_a_sentence_about_answers_is_kept(gate: RunningGate, sentence: Sentence) -> None:
    check(gate, sentence, f"answer_{SENTENCES.index(sentence)}")


def test_the_answer_has_the_members_of_the_document_in_its_order(gate: RunningGate) -> None:
    answer = gate.ingest("members", ORDERS).json()
    types = {name: type(value) for name, value in answer.items()}
    assert types == {
        "snapshot_id": str,
        "extent_count": int,
        "rows_ingested": int,
        "bytes_written": int,
        "replayed": bool,
    }
    assert answer["bytes_written"] > 0


def test_a_query_at_this_snapshot_or_later_sees_the_rows(gate: RunningGate) -> None:
    """ "snapshot_id is the catalog snapshot the rows are now visible at." """
    ids = [int(gate.ingest("snapshots", f'{{"n":{n}}}').json()["snapshot_id"]) for n in (1, 2)]
    table = gate.catalog().load_table(("default", "snapshots"))
    seen = [table.scan(snapshot_id=each).to_arrow()["n"].to_pylist() for each in ids]
    assert [sorted(each) for each in seen] == [["1"], ["1", "2"]]


@pytest.mark.parametrize("sent", ["ticket 42 <a@b>", None])
@pytest.mark.parametrize("body", ['{"n":1}', "no json"])
def test_the_response_carries_x_request_id(gate: RunningGate, body: str, sent: str | None) -> None:
    """ "set from the inbound header or generated as a UUID" """
    answer = gate.ingest("ids", body, {"X-Request-ID": sent} if sent else {})
    request_id = answer.headers["x-request-id"]
    assert request_id == sent or uuid.UUID(request_id)


def test_the_request_id_is_stamped_into_every_log_line_of_the_request(gate: RunningGate) -> None:
    """ "quote it when filing tickets" """
    gate.ingest("stamped", "no json", {"X-Request-ID": "my-ticket"})
    lines = (gate.home / "log").read_text().splitlines()
    assert any("[my-ticket] refused: bad_request_body" in line for line in lines)


def test_the_default_created_table_has_four_columns(gate: RunningGate) -> None:
    gate.ingest("four", '{"label":"a"}')
    schema = gate.table("four").schema
    assert {field.name: str(field.type) for field in schema} == {
        "at": "timestamp[us, tz=UTC]",
        "label": "string",
        "body": "string",
        "props": "string",
    }
    table = httpx.get(f"{gate.url}/v1/admin/databases/default/tables/four").json()
    assert [column["type"] for column in table["columns"]] == [
        "timestamp",
        "string",
        "string",
        "dynamic",
    ]


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ({}, ["at", "label", "body", "props"]),  # "for now it provisions the default shape"
        ({"columns": [{"name": "n", "type": "long"}]}, ["n"]),  # unlike: a schema body is accepted
    ],
)
def test_stronger_inference_comes_from_pre_creating_the_table(
    gate: RunningGate, body: object, columns: list[str]
) -> None:
    name = f"provisioned_{len(columns)}"
    path = f"{gate.url}/v1/admin/databases/default/tables/{name}"
    assert [each["name"] for each in httpx.post(path, json=body).json()["columns"]] == columns
    assert gate.ingest(name, '{"n":1}', {"X-Auto-Create": "false"}).status_code == 200
    assert [row["n"] for row in gate.rows(name)] == [1 if columns == ["n"] else "1"]


def test_concurrent_writers_of_a_table_conflict_and_all_are_committed(gate: RunningGate) -> None:
    """ "Concurrent writers retry with exponential backoff up to 20 attempts." """
    with ThreadPoolExecutor(16) as senders:
        answers = list(senders.map(lambda n: gate.ingest("hot", f'{{"n":{n}}}'), range(64)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(int(row["n"]) for row in gate.rows("hot")) == list(range(64))
    assert Settings.model_fields["commit_attempts"].default == 20


def test_two_concurrent_requests_with_the_same_key_are_one(gate: RunningGate) -> None:
    """ "a small duplicate is accepted": unlike here, where there is never one."""
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: gate.ingest("raced", '{"n":1}', KEY), range(8)))
    assert Counter(answer.json()["replayed"] for answer in answers) == {False: 1, True: 7}
    assert gate.table("raced").num_rows == 1
    # "The TTL on the ledger is 24 hours."
    assert Settings.model_fields["ledger_ttl_hours"].default == 24
