"""Each test has a marker by the folder of its suite: `pytest -m "not e2e and not fuzz"`."""

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine takes long for any example.
settings.register_profile("lakegate", deadline=None)
settings.load_profile("lakegate")

HERE = Path(__file__).parent
SUITES = frozenset(
    ("unit", "integration", "contract", "e2e", "faults", "simulation", "fuzz", "engines")
)


def pytest_configure(config: pytest.Config) -> None:
    for suite in sorted(SUITES):
        config.addinivalue_line("markers", f"{suite}: the tests in tests/{suite}")


# First, so that `-m` finds the markers.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        suite = item.path.relative_to(HERE).parts[0]
        if suite not in SUITES:
            raise pytest.UsageError(f"tests/{suite} is no suite: name it in {__file__}")
        item.add_marker(suite)
