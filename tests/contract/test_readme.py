"""The README says what the code does."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic_core import PydanticUndefined

from lakegate.columns.registry import CREATABLE, name_of, parse_field
from lakegate.errors import ErrorCode
from lakegate.lake.schema import iceberg_schema, logical_type
from lakegate.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text()


def settings_table() -> str:
    rows = ["| variable | default | |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        assert field.default is not PydanticUndefined
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `LAKEGATE_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_the_settings_are_all_there_with_their_defaults() -> None:
    marked = re.search(r"<!-- settings: .*? -->\n(.*?)\n?<!-- /settings -->", README, re.DOTALL)
    assert marked
    assert marked.group(1) == settings_table()


def test_the_error_codes_are_all_there_with_their_statuses() -> None:
    documented = {
        (name, int(http), status)
        for name, http, statuses in re.findall(
            r"^\| `(\w+)` \| (\d{3}) \| ([A-Z_, ]+?) \|", README, re.MULTILINE
        )
        for status in statuses.split(", ")
    }
    verdicts = [code.value for code in ErrorCode]
    assert documented == {(each.name, each.http_status, each.grpc_status) for each in verdicts}


def types_table() -> str:
    rows = ["| type | Iceberg | what JSON it takes |", "| --- | --- | --- |"]
    for type_ in CREATABLE.values():
        takes = type_.json.format(*type_.parameters)
        rows.append(f"| `{type_.name}` | `{type_.iceberg}` | {takes} |")
    return "\n".join(rows)


def test_the_types_of_columns_are_all_there() -> None:
    marked = re.search(r"<!-- types: .*? -->\n(.*?)\n?<!-- /types -->", README, re.DOTALL)
    assert marked
    assert marked.group(1) == types_table()


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
