"""The simulation finds faults: a server with a planted one soon violates an invariant."""

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from tests.simulation.simulation import simulate

from lakegate.lake.failures import draining

SEEDS = 40


@pytest.mark.parametrize(
    ("where", "fault", "found"),
    [
        pytest.param("snapshot.merged", lambda *_: (), "rows and has", id="rows are lost"),
        pytest.param("committer.outcome_unknown", draining, "was refused", id="doubt is untold"),
    ],
)
def test_a_fault_is_found(where: str, fault: object, found: str, tmp_path: Path) -> None:
    with mock.patch(f"lakegate.lake.commit.{where}", fault):
        assert any(found in violation for violation in _violations(tmp_path))


def _violations(home: Path) -> Iterator[str]:
    for seed in range(SEEDS):
        folder = home / f"{seed}"
        folder.mkdir()
        yield from simulate(seed, folder).violations
