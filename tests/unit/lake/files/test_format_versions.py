"""Tables of Iceberg's format version 3."""

import json
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import COLUMNS, LinesDecoder, batch
from tests.testing.reading import load

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.lake import Lake


async def test_rows_for_a_table_of_version_3_are_refused(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    catalog.create_namespace("default")
    created = catalog.create_table("default.orders", COLUMNS)
    catalog.drop_table("default.orders")
    catalog.register_table("default.orders", upgraded(created.metadata_location))
    with pytest.raises(LakegateError, match="format version 3") as refusal:
        await lake.append(batch(decoder, {"label": "a"}))
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    assert load(catalog).current_snapshot() is None


def upgraded(location: str) -> str:
    """Write the metadata in version 3, which PyIceberg does not write; return its location."""
    before = Path(location.removeprefix("file://"))
    metadata = {**json.loads(before.read_text()), "format-version": 3, "next-row-id": 0}
    after = before.with_name("00001-upgraded.metadata.json")
    after.write_text(json.dumps(metadata))
    return f"file://{after}"
