"""The examples do what they say, as a reader runs them."""

import subprocess
import sys
from pathlib import Path

from tests.testing.gate.running_gate import RunningGate

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str) -> str:
    """Run an example; return what it prints."""
    interpreter = [sys.executable] if name.endswith(".py") else []
    done = subprocess.run(
        [*interpreter, EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_list_of_examples_is_the_folder() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if path.name != "README.md"}
    readme = (EXAMPLES / "README.md").read_text()
    listed = {line.split("`")[1] for line in readme.splitlines() if line.startswith("| `")}
    assert listed == files


def test_rows_sent_with_curl_and_again_are_there_once(gate: RunningGate) -> None:
    first, second = run("send_rows.sh", gate.url).splitlines()
    assert '"replayed":false' in first
    assert '"replayed":true' in second
    assert [row["order_id"] for row in gate.rows("shell_orders")] == ["o-1", "o-2"]


def test_rows_sent_from_python_are_read_back(gate: RunningGate) -> None:
    assert run("send_rows.py", gate.url).startswith("3 rows in snapshot")
    printed = run("read_back.py", str(gate.home)).splitlines()
    assert [line.split("'order_id': ")[1][1:4] for line in printed] == ["o-1", "o-2", "o-3"]


def test_arrow_rows_arrive_with_their_types(gate: RunningGate) -> None:
    assert run("send_arrow.py", gate.url).startswith("1000 rows in snapshot")
    readings = gate.table("readings")
    assert readings.num_rows == 1000
    assert str(readings.schema.field("sensor").type) == "int32"
    assert str(readings.schema.field("celsius").type) == "double"


def test_a_stream_goes_on_where_it_was_and_doubles_nothing(gate: RunningGate) -> None:
    address = gate.url
    assert run("stream_batches.py", address).splitlines() == [
        "the stream goes on with offset 0",
        "200 rows committed",
    ]
    assert run("stream_batches.py", address).splitlines() == [
        "the stream goes on with offset 20",
        "0 rows committed",
    ]
    clicks = [row["click"] for row in gate.rows("clicks")]
    assert sorted(clicks) == sorted(f"{batch}-{row}" for batch in range(20) for row in range(10))


def test_query_events_are_in_their_table(gate: RunningGate) -> None:
    assert run("push_query_events.py", gate.url, gate.token).startswith("2 events in snapshot")
    events = [e for e in gate.rows("query_events") if e["tags"] == ["source:example"]]
    assert [event["duration_ms"] for event in events] == [12, 340]
