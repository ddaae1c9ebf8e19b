from collections.abc import Iterator

import pytest
from tests.testing.gate.running_gate import RunningGate, running_gate


@pytest.fixture(params=["ndjson", "arrow", "json", "parquet", "csv", "query_events"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    """A gate that must not have been at fault when the tests of a file are done."""
    home = tmp_path_factory.mktemp("fuzz") / "home"
    with running_gate(home) as running:
        yield running
        log = (home / "log").read_text()
    assert "Traceback" not in log
