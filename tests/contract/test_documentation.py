"""The documentation says what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic_core import PydanticUndefined

from lakegate.columns.registry import CREATABLE, name_of, parse_field
from lakegate.decode.registry import FORMATS
from lakegate.errors import ErrorCode
from lakegate.lake.table.schema import iceberg_schema, logical_type
from lakegate.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page for folder in (".", "docs", "examples", "envoy") for page in (ROOT / folder).glob("*.md")
) + sorted((ROOT / "docs/decisions").glob("*.md"))
LONGEST_README = 150


def page(name: str) -> str:
    return (ROOT / name).read_text()


def settings_table() -> str:
    rows = ["| variable | default | |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        assert field.default is not PydanticUndefined
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `LAKEGATE_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def marked(name: str, part: str) -> str:
    """Return the part of a page between the marks of that name."""
    found = re.search(rf"<!-- {part}: .*? -->\n(.*?)\n?<!-- /{part} -->", page(name), re.DOTALL)
    assert found
    return found.group(1)


def test_the_settings_are_all_there_with_their_defaults() -> None:
    assert marked("docs/operations.md", "settings") == settings_table()


def test_the_settings_that_are_mentioned_exist() -> None:
    known = {f"LAKEGATE_{name.upper()}" for name in Settings.model_fields}
    of_tests = {
        name
        for each in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r'environ\.get\("(LAKEGATE_\w+)"', each.read_text())
    }
    mentioned = {
        name
        for each in PAGES
        for name in re.findall(r"\bLAKEGATE_[A-Z_]*[A-Z]\b", each.read_text())
    }
    assert mentioned - known - of_tests == set()


def test_the_error_codes_are_all_there_with_their_statuses() -> None:
    documented = {
        (name, int(http), status)
        for name, http, statuses in re.findall(
            r"^\| `(\w+)` \| (\d{3}) \| ([A-Z_, ]+?) \|", page("docs/errors.md"), re.MULTILINE
        )
        for status in statuses.split(", ")
    }
    verdicts = [code.value for code in ErrorCode]
    assert documented == {(each.name, each.http_status, each.grpc_status) for each in verdicts}


def test_the_formats_are_all_there_with_their_names() -> None:
    documented = {
        (frozenset(re.findall(r"`([\w.+-]+/[\w.+-]+)`", media_types)), field or None)
        for media_types, field in re.findall(
            r"^\| [^|]+ \| ([^|]*/[^|]*) \| (?:`(\w+)` )?\|$",
            marked("docs/formats-and-types.md", "formats"),
            re.MULTILINE,
        )
    }
    assert documented == {(frozenset(each.media_types), each.field) for each in FORMATS}


def types_table() -> str:
    rows = ["| type | Iceberg | what JSON it takes |", "| --- | --- | --- |"]
    for type_ in CREATABLE.values():
        takes = type_.json.format(*type_.parameters)
        rows.append(f"| `{type_.name}` | `{type_.iceberg}` | {takes} |")
    return "\n".join(rows)


def test_the_types_of_columns_are_all_there() -> None:
    assert marked("docs/formats-and-types.md", "types") == types_table()


@pytest.mark.parametrize("base", CREATABLE)
def test_a_type_is_the_iceberg_type_that_the_table_names_and_reads_back_as_itself(
    base: str,
) -> None:
    type_ = CREATABLE[base]
    parameters = "(12,3)" if base == "decimal" else "(3)" if base == "vector" else ""
    column = parse_field("c", base + parameters)

    [field] = iceberg_schema(pa.schema([column])).fields

    assert str(field.field_type) == type_.iceberg.replace("P", "12").replace("S", "3")
    assert name_of(str(field.field_type), logical_type(column)) == base + parameters


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(path: Path) -> None:
    assert [link for link in links(path) if not leads_somewhere(path, link)] == []


def test_the_files_and_folders_that_are_named_exist() -> None:
    named = {
        name
        for each in PAGES
        for name in re.findall(
            r"`((?:server|tests|docs|examples|envoy|proto|bench)/[\w./-]*)`", each.read_text()
        )
    }
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_folder_is_in_the_table_of_folders() -> None:
    listed = set(re.findall(r"^\| `([\w./]+)/` \|", page("docs/architecture.md"), re.MULTILINE))
    package = ROOT / "server/lakegate"
    folders = {str(each.parent.relative_to(ROOT)) for each in package.glob("*/__init__.py")} | {
        str(each.parent.relative_to(ROOT)) for each in package.glob("*/*/__init__.py")
    }
    assert {each for each in folders if each not in listed} == set()


def test_the_readme_is_short() -> None:
    assert len(page("README.md").splitlines()) <= LONGEST_README


def links(path: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in link:
            yield link


def leads_somewhere(path: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    file = (path.parent / target).resolve() if target else path
    if not file.exists():
        return False
    return not anchor or anchor in anchors(file)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
