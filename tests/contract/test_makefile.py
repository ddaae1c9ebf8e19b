"""`make` says what it needs."""

import subprocess
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"
PYTHON_3_10 = """\
#!/bin/sh
if [ "$1" = --version ]; then echo Python 3.10.13; else exit 1; fi
"""


def test_a_python_that_is_too_old_is_named_and_nothing_is_installed(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(PYTHON_3_10)
    python.chmod(0o700)
    for file in ("requirements.lock", "pyproject.toml"):
        (tmp_path / file).touch()
    ended = subprocess.run(
        ["make", "-f", MAKEFILE, "install", f"PYTHON={python}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    first, *_ = ended.stderr.splitlines()
    assert first == (
        "Lakegate needs Python 3.11 or newer, and this is Python 3.10.13: "
        "install one, then run make PYTHON=python3.11"
    )
    assert not (tmp_path / ".venv").exists()
