"""The REST document, kept to the letter: rows in over HTTP, read back by DuckDB and PyIceberg."""

import gzip
import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from tests.testing.gate.examples import ORDERS
from tests.testing.gate.running_gate import RunningGate

DEFAULT_COLUMNS = {"at", "label", "body", "props"}


def test_the_example_answers_as_the_document_prints(gate: RunningGate) -> None:
    headers = {"X-Database": "default", "X-Idempotency-Key": str(uuid.uuid4())}
    answer = gate.ingest("orders_answer", ORDERS, headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    acknowledgement = answer.json()
    assert list(acknowledgement) == [
        "snapshot_id",
        "extent_count",
        "rows_ingested",
        "bytes_written",
        "replayed",
    ]
    assert isinstance(acknowledgement["snapshot_id"], str)
    assert acknowledgement["extent_count"] == 1
    assert acknowledgement["rows_ingested"] == 3
    assert acknowledgement["bytes_written"] > 0
    assert acknowledgement["replayed"] is False


def test_the_rows_of_the_example_read_back_with_duckdb(gate: RunningGate) -> None:
    gate.ingest("orders_duckdb", ORDERS)
    table = gate.table("orders_duckdb")
    assert str(table.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert [
        (row["at"], row["order_id"], row["amount_cents"], row["status"])
        for row in table.sort_by("at").to_pylist()
    ] == [
        (datetime(2026, 5, 2, 10, 0, 0, tzinfo=UTC), "o-1", "4200", "placed"),
        (datetime(2026, 5, 2, 10, 0, 4, tzinfo=UTC), "o-2", "1850", "placed"),
        (datetime(2026, 5, 2, 10, 0, 9, tzinfo=UTC), "o-1", "4200", "shipped"),
    ]
    assert set(table.column_names) == DEFAULT_COLUMNS | {"order_id", "amount_cents", "status"}


def test_the_rows_are_in_the_snapshot_that_the_answer_names(gate: RunningGate) -> None:
    first = gate.ingest("orders_snapshots", ORDERS).json()["snapshot_id"]
    second = gate.ingest("orders_snapshots", ORDERS).json()["snapshot_id"]
    table = gate.catalog().load_table(("default", "orders_snapshots"))
    assert table.scan(snapshot_id=int(first)).to_arrow().num_rows == 3
    assert table.scan(snapshot_id=int(second)).to_arrow().num_rows == 6
    assert str(table.schema().find_type("at")) == "timestamptz"


def test_the_request_id_is_the_callers_or_a_uuid(gate: RunningGate) -> None:
    taken = gate.ingest("request_ids", ORDERS, {"X-Request-ID": "ticket-42/a"})
    made = gate.ingest("request_ids", ORDERS)
    assert taken.headers["x-request-id"] == "ticket-42/a"
    assert uuid.UUID(made.headers["x-request-id"])


def test_a_table_is_made_from_a_body_without_a_length(gate: RunningGate) -> None:
    body = iter([b'{"columns":[', b'{"name":"a","type":"string"}]}'])
    path = "/v1/admin/databases/default/tables/made_in_chunks"
    assert httpx.post(gate.url + path, content=body).status_code == 200
    assert gate.catalog().table_exists(("default", "made_in_chunks"))


def test_the_log_names_the_request(gate: RunningGate) -> None:
    gate.ingest("request_log", "no json", {"X-Request-ID": "find-me-in-the-log"})
    assert "[find-me-in-the-log]" in (gate.home / "log").read_text()


@pytest.mark.parametrize("database", ["default", "sales"])
def test_the_database_and_the_table_are_made_on_first_write(
    gate: RunningGate, database: str
) -> None:
    answer = gate.ingest("made", '{"a":1}', {"X-Database": database})
    assert answer.status_code == 200
    assert [row["a"] for row in gate.rows("made", database)] == ["1"]


def test_without_auto_create_a_missing_table_is_not_found(gate: RunningGate) -> None:
    answer = gate.ingest("typo", ORDERS, {"X-Auto-Create": "false", "X-Request-ID": "r-404"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "table_not_found"
    assert answer.json()["error"]["request_id"] == "r-404"
    assert not gate.catalog().table_exists(("default", "typo"))


def test_without_schema_evolve_unknown_fields_are_dropped(gate: RunningGate) -> None:
    gate.ingest("fixed", '{"label":"a","extra":1}', {"X-Schema-Evolve": "false"})
    assert set(gate.table("fixed").column_names) == DEFAULT_COLUMNS
    assert [(row["label"], row["props"]) for row in gate.rows("fixed")] == [("a", None)]


def test_the_33rd_unknown_field_lands_in_props(gate: RunningGate) -> None:
    row = {f"c{i:02}": i for i in range(33)}
    gate.ingest("wide", json.dumps(row))
    [read] = gate.rows("wide")
    assert [read[f"c{i:02}"] for i in range(32)] == [str(i) for i in range(32)]
    assert json.loads(read["props"]) == {"c32": 32}
    assert "c32" not in read


def test_texts_keep_their_digits(gate: RunningGate) -> None:
    gate.ingest(
        "digits",
        '{"n": 12345678901234567890, "d": "2026-05-02", "f": 1e400, "o": {"b":1,"a":[1.10]}}',
    )
    [row] = gate.rows("digits")
    assert (row["n"], row["d"], row["f"], row["o"]) == (
        "12345678901234567890",
        "2026-05-02",
        "1e400",
        '{"b":1,"a":[1.10]}',
    )


def test_blank_lines_are_tolerated(gate: RunningGate) -> None:
    answer = gate.ingest("blank", '\n{"a":1}\r\n\n  \n{"a":2}\n\n')
    assert answer.json()["rows_ingested"] == 2


def test_a_body_without_rows_is_acknowledged_without_a_commit(gate: RunningGate) -> None:
    gate.ingest("empty", '{"a":1}')
    before = gate.snapshots("empty")
    answer = gate.ingest("empty", "\n")
    assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 0)
    assert gate.snapshots("empty") == before


def test_one_bad_line_rejects_the_whole_body_and_is_named(gate: RunningGate) -> None:
    gate.ingest("spoiled", '{"a":1}')
    answer = gate.ingest("spoiled", '{"a":2}\n\n{"a":}\n{"a":4}\n')
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request_body"
    assert "line 3" in answer.json()["error"]["message"]
    assert [row["a"] for row in gate.rows("spoiled")] == ["1"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X-Table": ""}, 400, "missing_table_header"),
        ({"X-Table": "Not A Name"}, 400, "invalid_argument"),
        ({"X-Database": "../up"}, 400, "invalid_argument"),
        ({"X-Auto-Create": "maybe"}, 400, "invalid_argument"),
        ({"X-Idempotency-Key": "k" * 256}, 400, "invalid_argument"),
        ({"Content-Type": "application/xml"}, 415, "unsupported_media_type"),
        ({"Content-Encoding": "br"}, 415, "unsupported_media_type"),
        ({"Content-Encoding": "gzip"}, 400, "bad_request_body"),
    ],
)
def test_bad_headers_are_refused_in_the_vocabulary(
    gate: RunningGate, headers: dict[str, str], status: int, code: str
) -> None:
    answer = gate.ingest("refused", ORDERS, headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    assert not gate.catalog().table_exists(("default", "refused"))


def test_gzip_and_zstd_bodies_are_inflated(gate: RunningGate) -> None:
    encoded = {"gzip": gzip.compress(ORDERS.encode()), "zstd": zstd.compress(ORDERS.encode())}
    for encoding, body in encoded.items():
        answer = gate.ingest("compressed", body, {"Content-Encoding": encoding})
        assert answer.json()["rows_ingested"] == 3
    assert len(gate.rows("compressed")) == 6


def test_decimals_are_exact_from_json_to_the_readers_of_iceberg(gate: RunningGate) -> None:
    columns = [{"name": "price", "type": "decimal(20,4)"}, {"name": "id", "type": "int"}]
    made = httpx.post(
        f"{gate.url}/v1/admin/databases/default/tables/prices", json={"columns": columns}
    )
    assert made.json()["columns"] == columns
    prices = ["0.1", "1234567890123456.7891", "-0.0001", "12e2", "null"]
    body = "".join(f'{{"id":{i},"price":{price}}}\n' for i, price in enumerate(prices))

    assert gate.ingest("prices", body).status_code == 200
    bad = gate.ingest("prices", '{"id":6,"price":1}\n{"id":7,"price":0.00001}\n')

    expected = [Decimal(price) if price != "null" else None for price in prices]
    assert gate.table("prices").sort_by("id")["price"].to_pylist() == expected
    scanned = gate.catalog().load_table(("default", "prices")).scan().to_arrow()
    assert scanned.schema.field("price").type == pa.decimal128(20, 4)
    assert scanned.sort_by("id")["price"].to_pylist() == expected
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_request_body")
    for part in ("line 2", '"price"', "decimal(20,4)", "0.00001"):
        assert part in bad.json()["error"]["message"]


def test_what_curl_sends_when_it_is_not_told_otherwise_is_ndjson(gate: RunningGate) -> None:
    for number, media_type in enumerate(
        ["application/x-www-form-urlencoded", "application/octet-stream", "text/plain"]
    ):
        headers = {"Content-Type": media_type}
        assert gate.ingest("curl", f'{{"label":"{number}&a=%41"}}\n', headers).status_code == 200
    labels = gate.table("curl")["label"].to_pylist()
    assert sorted(labels) == ["0&a=%41", "1&a=%41", "2&a=%41"]


def test_rows_come_in_as_json_arrays_csv_and_parquet_too(gate: RunningGate) -> None:
    rows = pa.table({"label": ["parquet"], "n": pa.array([3], pa.int64())})
    parquet = pa.BufferOutputStream()
    pq.write_table(rows, parquet)
    made = {"columns": [{"name": "label", "type": "string"}, {"name": "n", "type": "long"}]}
    httpx.post(f"{gate.url}/v1/admin/databases/default/tables/formats", json=made)
    bodies: dict[str, str | bytes] = {
        "application/json": '[\n  {"label": "json", "n": 1}\n]',
        "text/csv": "label,n\ncsv,2\n",
        "application/vnd.apache.parquet": parquet.getvalue().to_pybytes(),
    }

    for media_type, body in bodies.items():
        answer = gate.ingest("formats", body, {"Content-Type": media_type})
        assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 1)
    spoilt = gate.ingest("formats", b"PAR1", {"Content-Type": "application/vnd.apache.parquet"})

    assert gate.table("formats").sort_by("n").select(["label", "n"]).to_pylist() == [
        {"label": "json", "n": 1},
        {"label": "csv", "n": 2},
        {"label": "parquet", "n": 3},
    ]
    assert (spoilt.status_code, spoilt.json()["error"]["code"]) == (400, "bad_request_body")
