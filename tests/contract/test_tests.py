"""What holds for the tests themselves: helpers are in tests/testing, not in other tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("tests", "bench") for path in (ROOT / folder).rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """Return the names of all modules that a file may import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of_tests(modules: Iterator[str]) -> list[str]:
    """Return the modules that pytest collects tests or fixtures from."""
    tests = (each for each in modules if each.startswith("tests."))
    return [each for each in tests if each.split(".")[-1].startswith(("test_", "conftest"))]


def test_no_file_imports_a_test() -> None:
    found = {path: modules_of_tests(imported(path.read_text())) for path in FILES}
    assert {str(path.relative_to(ROOT)): names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "import tests.e2e.test_grpc",
        "from tests.e2e import test_grpc",
        "from tests.e2e.test_grpc import ORDERS",
        "from tests.fuzz.conftest import inputs",
    ],
)
def test_an_import_of_a_test_is_found(statement: str) -> None:
    assert modules_of_tests(imported(statement))
