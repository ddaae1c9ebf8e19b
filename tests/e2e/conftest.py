"""What end-to-end tests share."""

from collections.abc import Iterator

import pytest
from tests.testing.gate.running_gate import RunningGate, running_gate


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that all tests share; each writes to tables of its own."""
    with running_gate(tmp_path_factory.mktemp("gate") / "home") as running:
        yield running
