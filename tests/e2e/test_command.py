"""The commands that look at what landed."""

import re
from pathlib import Path

import pytest
from tests.testing.gate.running_gate import RunningGate, lakegate


def test_sql_reads_what_landed(gate: RunningGate) -> None:
    gate.ingest("looked_at", '{"status":"placed"}\n{"status":"shipped"}')
    gate.ingest("looked_at", '{"status":"returned"}', {"X-Database": "sales"})
    here = lakegate(gate.home, "sql", "select count(*) || ' rows' from looked_at")
    there = lakegate(gate.home, "sql", "select status from sales.looked_at")
    assert "2 rows" in here.stdout
    assert "returned" in there.stdout


def test_sql_that_is_wrong_is_said_in_one_line(gate: RunningGate) -> None:
    ended = lakegate(gate.home, "sql", "select * from no_such_table")
    assert ended.returncode == 1
    assert "no_such_table does not exist" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tables_lists_what_is_there(gate: RunningGate) -> None:
    gate.ingest("listed", '{"a":1}\n{"a":2}', {"X-Database": "shop"})
    ended = lakegate(gate.home, "tables")
    [line] = [line for line in ended.stdout.splitlines() if "shop.listed" in line]
    assert "2" in line.split()


@pytest.mark.parametrize("command", [["serve"], ["tables"], ["sql", "select 1"], ["maintain"]])
def test_a_catalog_that_is_away_is_said_in_one_line(tmp_path: Path, command: list[str]) -> None:
    settings = {
        "PYICEBERG_CATALOG__LAKEGATE__TYPE": "sql",
        "PYICEBERG_CATALOG__LAKEGATE__URI": "postgresql+psycopg://u:secret@127.0.0.1:1/db",
    }
    refused = lakegate(tmp_path, *command, settings=settings)
    assert refused.returncode == 1
    assert "The catalog lakegate cannot be opened" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "secret" not in refused.stderr


def test_a_backup_of_a_running_gate_is_restored_elsewhere(
    gate: RunningGate, tmp_path: Path
) -> None:
    backup, new = tmp_path / "backup", tmp_path / "new"
    gate.ingest("saved", '{"a":1}\n{"a":2}')
    saved = lakegate(gate.home, "backup", str(backup))
    assert re.search(rf"\d+ tables and \d+ files are saved in {backup}\.", saved.stdout)
    gate.ingest("saved", '{"a":3}')
    restored = lakegate(new, "restore", str(backup))
    assert f"tables are restored in {new}." in restored.stdout
    assert "2 rows" in lakegate(new, "sql", "select count(*) || ' rows' from saved").stdout
    again = lakegate(new, "restore", str(backup))
    assert f"{new} exists and is not empty" in again.stderr
    assert "Traceback" not in again.stderr


def test_a_backup_of_databases_elsewhere_is_refused(tmp_path: Path) -> None:
    settings = {"LAKEGATE_LEDGER_URL": "postgresql+psycopg://u:secret@127.0.0.1:1/db"}
    refused = lakegate(tmp_path, "backup", str(tmp_path / "backup"), settings=settings)
    assert refused.returncode == 1
    assert "is not in its home: back up their databases" in refused.stderr
