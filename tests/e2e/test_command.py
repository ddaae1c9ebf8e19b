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
    assert ended.stderr == (
        "Error: the table default.no_such_table does not exist: "
        "`lakegate tables` lists those that do\n"
    )


def test_sql_names_the_nearest_table(gate: RunningGate) -> None:
    gate.ingest("invoices", '{"a":1}')
    ended = lakegate(gate.home, "sql", "select * from invoces")
    assert ended.stderr == (
        "Error: the table default.invoces does not exist: did you mean default.invoices?\n"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to '{}'",
        "explain analyze copy (select 1) to '{}'",
        "select 1; copy (select 1) to '{}'",
        "attach '{}' as other",
        "export database '{}'",
    ],
)
def test_sql_writes_no_file(gate: RunningGate, tmp_path: Path, statement: str) -> None:
    target = tmp_path / "written"
    ended = lakegate(gate.home, "sql", statement.format(target))
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: this command runs one SELECT")
    assert ended.stderr.count("\n") == 1
    assert not target.exists()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("metadata.json", "Error: a file of the table default.torn is missing: "),
        ("snap-*.avro", "Error: a file of the table default.torn is missing: "),
        ("-m0.avro", "Error: a file of the table default.torn is missing: "),
        (".parquet", "Error: IO Error: Cannot open file "),
    ],
)
def test_sql_says_in_one_line_which_file_of_a_table_is_missing(
    gate: RunningGate, kind: str, line: str
) -> None:
    gate.ingest("torn", '{"a":1}')
    metadata = Path(gate.metadata_location("torn").removeprefix("file://"))
    found = list(metadata.parents[1].glob(f"*/*{kind}"))
    kept = {file: file.read_bytes() for file in found}
    for file in found:
        file.unlink()
    try:
        ended = lakegate(gate.home, "sql", "select * from torn")
    finally:
        for file, data in kept.items():
            file.write_bytes(data)
    assert ended.returncode == 1
    assert ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1
    assert any(file.name in ended.stderr for file in found)


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["sql", "select * from orders"], "catalog.db"),
        (["tables"], "catalog.db"),
        (["maintain"], "catalog.db"),
        (["token", "list"], "ledger.db"),
        (["token", "revoke", "0123456789ab"], "ledger.db"),
    ],
)
def test_reading_in_the_wrong_folder_creates_nothing(
    tmp_path: Path, command: list[str], file: str
) -> None:
    home = tmp_path / "elsewhere"
    ended = lakegate(home, *command)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Error: {home} has no {file}: start `lakegate up` in this folder first, "
        "or set LAKEGATE_HOME to the folder `data` that it printed\n"
    )
    assert not home.exists()


def test_tables_lists_what_is_there(gate: RunningGate) -> None:
    gate.ingest("listed", '{"a":1}\n{"a":2}', {"X-Database": "shop"})
    ended = lakegate(gate.home, "tables")
    [line] = [line for line in ended.stdout.splitlines() if "shop.listed" in line]
    assert "2" in line.split()


@pytest.mark.parametrize(
    ("scheme", "command"),
    [
        ("postgresql+psycopg", ["serve"]),
        ("postgres", ["tables"]),
        ("postgresql", ["sql", "select 1"]),
        ("postgresql+psycopg", ["maintain"]),
    ],
)
def test_a_catalog_that_is_away_is_said_in_one_line(
    tmp_path: Path, scheme: str, command: list[str]
) -> None:
    settings = {
        "PYICEBERG_CATALOG__LAKEGATE__TYPE": "sql",
        "PYICEBERG_CATALOG__LAKEGATE__URI": f"{scheme}://u:secret@127.0.0.1:1/db",
        "LAKEGATE_GRPC_ADDR": "127.0.0.1:0",
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


def test_a_catalog_that_is_configured_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    settings = {"PYICEBERG_CATALOG__LAKEGATE__URI": "mysql://u:secret@127.0.0.1:1/db"}
    refused = lakegate(tmp_path, "tables", settings=settings)
    assert refused.returncode == 1
    assert refused.stderr == (
        "Error: The catalog lakegate is not configured correctly (ValueError): check the variables "
        "PYICEBERG_CATALOG__LAKEGATE__… and PyIceberg's file.\n"
    )
