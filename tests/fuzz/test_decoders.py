"""Whatever bytes come: rows, or a refusal that blames the caller. No fault of ours, no hang.

Each decoder is in a process of its own that has little memory: what a few bytes claim is
never allocated.
"""

import subprocess
import sys
from pathlib import Path

from tests.testing.fuzzing import INPUTS, SECONDS

ROOT = Path(__file__).parents[2]


def test_every_input_is_decoded_or_refused_to_its_sender(kind: str, tmp_path: Path) -> None:
    current = tmp_path / "input"
    command = [sys.executable, "-m", "tests.fuzz.decoding", kind, str(current)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    finding = f"put this into the corpus: {current.read_bytes()!r}"
    assert done.returncode == 0, f"{finding}\n{done.stderr[-5000:]}"
    assert SECONDS or int(done.stdout) == INPUTS
