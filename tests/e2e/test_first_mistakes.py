"""What a newcomer sends by mistake is answered with what to do, and found in the log."""

import gzip
import io
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.testing.gate.running_gate import RunningGate

ROWS = '{"a":1}\n{"a":2}\n'


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), file)
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    table = pa.table({"a": [1]})
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return file.getvalue()


def log_of(gate: RunningGate, request_id: str) -> list[str]:
    lines = (gate.home / "log").read_text().splitlines()
    return [line for line in lines if f"[{request_id}]" in line]


def curl(gate: RunningGate, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "-i", f"{gate.url}/v1/ingest", "-H", "X-Table: by_curl", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (gzip.compress(ROWS.encode()), "the body is gzip: add the header Content-Encod"),
        (parquet(), "the body is Parquet: send it as Content-Type: application/vnd.apache"),
        (arrow(), "the body is an Arrow stream: send it as Content-Type: application/vnd."),
        (b"a,b\n1,2\n", "if the body is CSV, send it as Content-Type: text/csv"),
        (b'[{"a":1}]', "the body is a JSON array: send it as Content-Type: application/js"),
        (b'{\n "a": 1\n}\n', "an object must be on one line: jq -c . writes it so"),
        (b"@rows.ndjson", "the body is the name of a file: curl reads it with --data-bin"),
    ],
    ids=["gzip", "Parquet", "Arrow", "CSV", "array", "indented", "name"],
)
def test_a_body_with_the_wrong_header_is_answered_with_the_right_one(
    gate: RunningGate, body: bytes, hint: str
) -> None:
    answer = gate.ingest("mistaken", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(hint)


def test_a_wrong_body_without_a_known_mistake_has_no_hint(gate: RunningGate) -> None:
    message = gate.ingest("mistaken", '{"a":').json()["error"]["message"]
    assert message.startswith("line 1: ")


def test_curl_without_binary_is_told_so(gate: RunningGate, tmp_path: Path) -> None:
    (tmp_path / "rows.ndjson").write_text(ROWS)
    answer = curl(gate, tmp_path, "-d", "@rows.ndjson")
    assert "two objects are on one line: curl keeps line ends with --data-binary, not -d" in answer


def test_a_body_without_rows_is_answered_with_a_warning(gate: RunningGate) -> None:
    answer = gate.ingest("empty", "", {"X-Request-ID": "no-rows"})
    assert (answer.status_code, answer.json()["rows_ingested"]) == (200, 0)
    assert answer.headers["X-Lakegate-Warning"] == "the body has no rows"
    [line] = log_of(gate, "no-rows")
    assert line.endswith("default.empty: the body has no rows")
    with_rows = gate.ingest("empty", ROWS)
    assert "X-Lakegate-Warning" not in with_rows.headers


def test_a_refusal_is_one_line_with_table_token_and_place(gate: RunningGate) -> None:
    headers = {"X-Request-ID": "bad-line", "Authorization": f"Bearer {gate.token}"}
    assert gate.ingest("refused", '{"a":1}\n{"a":', headers).status_code == 400
    [line] = log_of(gate, "bad-line")
    assert "WARNING lakegate.rpc" in line
    assert "refused: bad_request_body, table default.refused, token " in line
    assert line.endswith(": line 2")
    assert ", token -:" not in line


def test_a_refusal_for_a_fault_below_names_its_cause_under_the_request_id(
    gate: RunningGate,
) -> None:
    gate.ingest("storage", ROWS).raise_for_status()
    metadata = Path(gate.metadata_location("storage").removeprefix("file://"))
    data = metadata.parents[1] / "data"
    shutil.rmtree(data)
    data.touch()
    answer = gate.ingest("storage", ROWS, {"X-Request-ID": "no-storage"})
    assert answer.json()["error"]["message"] == "Storage failed: default.storage."
    [line] = [each for each in log_of(gate, "no-storage") if "refused" in each]
    assert "refused: ingest_failed, table default.storage, token -: Storage failed" in line
    assert str(data) in line


def test_an_answer_to_query_events_names_their_table_in_the_log(gate: RunningGate) -> None:
    headers = {"X-Request-ID": "bad-event"}
    assert gate.push({"queryId": 1}, headers).status_code == 400
    [line] = log_of(gate, "bad-event")
    assert "refused: invalid_query_event, table default.query_events, token " in line
