"""The README says what the code does."""

import re
from pathlib import Path

from pydantic_core import PydanticUndefined

from lakegate.errors import ErrorCode
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
