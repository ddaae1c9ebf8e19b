"""The REST document: what a request is. Each sentence is quoted, with a request and its answer."""

import json
import uuid

import pytest
from tests.testing.gate.running_gate import NDJSON, RunningGate
from tests.testing.gate.sentences import Rows, Sentence, check

TWO = '{"n":1}\n{"n":2}\n'
TWO_ROWS = ({"n": "1"}, {"n": "2"})
MANY_FIELDS = json.dumps({f"c{i:02}": i for i in range(34)})
MIB = 1024 * 1024

SENTENCES = [
    Sentence(
        "One HTTP POST, one body of NDJSON, one snapshot.",
        [Rows(TWO)],
        answer={"rows_ingested": 2, "extent_count": 1, "replayed": False},
        rows=TWO_ROWS,
        snapshots=1,
    ),
    Sentence(
        "Headers tell the engine which database and table to write to",
        [Rows(TWO, {"X-Database": "shop"})],
        rows=TWO_ROWS,
        database="shop",
    ),
    Sentence("the body is one JSON object per line.", [Rows("[1]\n")], 400),
    Sentence(
        "The table is auto-created on first write and the schema evolves to fit new fields.",
        [Rows('{"a":1}'), Rows('{"b":2}')],
        rows=({"a": "1", "b": None}, {"a": None, "b": "2"}),
    ),
    Sentence(
        "Use it for: web hooks, application logs, anything that already speaks HTTP",
        [Rows(TWO, query="?source=github&delivery=1")],
        rows=TWO_ROWS,
        unlike="HTTP/1.0 and other forms are in test_any_http.py",
    ),
    Sentence("X-Database: <database> (default: 'default')", [Rows(TWO)], rows=TWO_ROWS),
    Sentence(
        "X-Table: <table> (required)",
        [Rows(TWO, {"X-Table": ""})],
        400,
        {"code": "missing_table_header"},
    ),
    Sentence(
        "X-Idempotency-Key: <opaque>",
        [Rows(TWO, {"X-Idempotency-Key": f"any text: {uuid.uuid4()} =/\"'"})],
        answer={"replayed": False},
        rows=TWO_ROWS,
    ),
    Sentence("X-Idempotency-Key … (optional …)", [Rows(TWO), Rows(TWO)], rows=TWO_ROWS * 2),
    Sentence("X-Auto-Create: true|false (default: true)", [Rows(TWO)], rows=TWO_ROWS),
    Sentence(
        "X-Auto-Create: true|false",
        [Rows(TWO, {"X-Auto-Create": "perhaps"})],
        400,
        {"code": "invalid_argument"},
    ),
    Sentence(
        "X-Schema-Evolve: true|false (default: true)",
        [Rows('{"label":"a"}'), Rows('{"n":1}')],
        rows=({"label": "a", "n": None}, {"label": None, "n": "1"}),
    ),
    Sentence(
        "X-Schema-Evolve: true|false",
        [Rows(TWO, {"X-Schema-Evolve": "perhaps"})],
        400,
        {"code": "invalid_argument"},
    ),
    Sentence(
        "Content-Type: application/x-ndjson",
        [Rows(TWO, {"Content-Type": NDJSON})],
        rows=TWO_ROWS,
        unlike="arrays, CSV, Parquet and Arrow are accepted too, and other types are 415",
    ),
    Sentence(
        "Body is NDJSON — one JSON object per line, blank lines tolerated.",
        [Rows('\n{"n":1}\r\n\n  \n{"n":2}\n\n')],
        answer={"rows_ingested": 2},
        rows=TWO_ROWS,
    ),
    Sentence(
        "The body cap is 64 MiB.",
        [Rows('{"n":1}\n' + " " * (64 * MIB - 8))],
        answer={"rows_ingested": 1},
        rows=({"n": "1"},),
    ),
    Sentence(
        "A request that exceeds it returns 413 body_too_large; split into smaller batches.",
        [Rows('{"n":1}\n' + " " * (64 * MIB - 7))],
        413,
        {"code": "body_too_large"},
    ),
    Sentence(
        "X-Auto-Create=true makes the database and table on first write.",
        [Rows(TWO, {"X-Database": "made", "X-Auto-Create": "true"})],
        rows=TWO_ROWS,
        database="made",
    ),
    Sentence(
        "X-Auto-Create=false returns 404 table_not_found instead",
        [Rows(TWO, {"X-Auto-Create": "false"})],
        404,
        {"code": "table_not_found"},
    ),
    Sentence(
        "which is what you want when callers pre-provision",
        [Rows(TWO), Rows(TWO, {"X-Auto-Create": "false"})],
        rows=TWO_ROWS * 2,
    ),
    Sentence(
        "X-Schema-Evolve=true does a one-pass scan of the body, calls ALTER TABLE ADD COLUMN for "
        "unknown fields, then parses against the widened schema.",
        [Rows('{"a":1}\n{"a":2,"b":3}\n', {"X-Schema-Evolve": "true"})],
        rows=({"a": "1", "b": None}, {"a": "2", "b": "3"}),
    ),
    Sentence(
        "With evolve off, unknown fields are dropped silently.",
        [Rows('{"label":"a","n":1}', {"X-Schema-Evolve": "false"})],
        rows=({"at": None, "label": "a", "body": None, "props": None},),
    ),
    Sentence(
        "The cap is 32 new columns per request — past that, remaining unknown fields land in the "
        "dynamic catch-all props.",
        [Rows(MANY_FIELDS)],
        rows=({f"c{i:02}": str(i) for i in range(32)} | {"props": '{"c32":32,"c33":33}'},),
    ),
]


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: sentence.text[:60])
def test_a_sentence_about_requests_is_kept(gate: RunningGate, sentence: Sentence) -> None:
    check(gate, sentence, f"request_{SENTENCES.index(sentence)}")


def test_x_auto_create_false_makes_no_database(gate: RunningGate) -> None:
    headers = {"X-Database": "typo", "X-Auto-Create": "false"}
    assert gate.ingest("t", TWO, headers).status_code == 404
    assert ("typo",) not in gate.catalog().list_namespaces()


def test_with_evolve_off_no_column_is_added(gate: RunningGate) -> None:
    gate.ingest("not_evolved", '{"n":1}', {"X-Schema-Evolve": "false"})
    assert gate.table("not_evolved").column_names == ["at", "label", "body", "props"]
