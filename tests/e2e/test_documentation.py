"""What the pages tell a reader to type works as it is written, from top to bottom."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.testing.gate.running_gate import running_gate

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
GATE = "localhost:8080"
# What a block has that needs no more than a gate on this machine.
RUNNABLE = (GATE, ".venv/bin/lakegate ", "lakegate-data/catalog.db")
NOT_HERE = ("spark-sql", "docker", "token create")


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Find the language and the text of each block that can be run here."""
    text = (ROOT / page).read_text()
    for language, block in re.findall(
        r"^```(bash|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    ):
        if any(word in block for word in RUNNABLE) and not any(word in block for word in NOT_HERE):
            yield language, block


def interpreter(language: str) -> list[str]:
    return [sys.executable, "-c"] if language == "python" else ["bash", "-euo", "pipefail", "-c"]


@pytest.mark.parametrize(
    ("page", "least"), [("README.md", 3), ("docs/formats-and-types.md", 4), ("docs/reading.md", 2)]
)
def test_the_commands_of_a_page_work_from_top_to_bottom(
    page: str, least: int, tmp_path: Path
) -> None:
    """In a folder with `.venv` and `lakegate-data`, as after `make run`; the port is another."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    found = list(blocks(page))
    assert len(found) >= least
    with running_gate(tmp_path / "lakegate-data") as gate:
        if page == "docs/reading.md":
            gate.ingest("orders", '{"order_id":"o-1","status":"placed"}').raise_for_status()
        for language, block in found:
            done = subprocess.run(
                [*interpreter(language), block.replace(GATE, gate.http_addr)],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{block}\n{done.stderr}"
            assert '"error"' not in done.stdout, f"{block}\n{done.stdout}"
            assert done.stdout, block
