"""`lakegate maintain` as a user runs it, on a catalog somewhere else."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lakegate.cli.main import main


def test_a_catalog_that_cannot_be_reached_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEGATE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKEGATE_CATALOG", "distant")
    monkeypatch.setenv("PYICEBERG_CATALOG__DISTANT__TYPE", "rest")
    monkeypatch.setenv("PYICEBERG_CATALOG__DISTANT__URI", "http://127.0.0.1:1")
    result = CliRunner().invoke(main, ["maintain"])
    assert result.exit_code == 1
    assert "127.0.0.1" in result.stderr
