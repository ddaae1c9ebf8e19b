"""The commands that look at what landed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.running_gate import RunningGate


def lakegate(gate: RunningGate, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [Path(sys.executable).with_name("lakegate"), *arguments],
        env={**os.environ, "LAKEGATE_HOME": str(gate.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_sql_reads_what_landed(gate: RunningGate) -> None:
    gate.ingest("looked_at", '{"status":"placed"}\n{"status":"shipped"}')
    gate.ingest("looked_at", '{"status":"returned"}', {"X-Database": "sales"})
    here = lakegate(gate, "sql", "select count(*) || ' rows' from looked_at")
    there = lakegate(gate, "sql", "select status from sales.looked_at")
    assert "2 rows" in here.stdout
    assert "returned" in there.stdout


def test_sql_that_is_wrong_is_said_in_one_line(gate: RunningGate) -> None:
    ended = lakegate(gate, "sql", "select * from no_such_table")
    assert ended.returncode == 1
    assert "no_such_table does not exist" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tables_lists_what_is_there(gate: RunningGate) -> None:
    gate.ingest("listed", '{"a":1}\n{"a":2}', {"X-Database": "shop"})
    ended = lakegate(gate, "tables")
    [line] = [line for line in ended.stdout.splitlines() if "shop.listed" in line]
    assert "2" in line.split()


@pytest.mark.parametrize("command", [["serve"], ["tables"], ["sql", "select 1"], ["maintain"]])
def test_a_catalog_that_is_away_is_said_in_one_line(tmp_path: Path, command: list[str]) -> None:
    refused = subprocess.run(
        [Path(sys.executable).with_name("lakegate"), *command],
        env={
            **os.environ,
            "LAKEGATE_HOME": str(tmp_path),
            "PYICEBERG_CATALOG__LAKEGATE__TYPE": "sql",
            "PYICEBERG_CATALOG__LAKEGATE__URI": "postgresql+psycopg://u:secret@127.0.0.1:1/db",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert "The catalog lakegate cannot be opened" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "secret" not in refused.stderr
