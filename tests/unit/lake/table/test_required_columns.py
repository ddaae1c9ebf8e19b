"""Columns that another engine has made required."""

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import NestedField, StringType
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import labels

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.lake import Lake

COLUMNS = Schema(
    NestedField(1, "label", StringType(), required=True),
    NestedField(2, "note", StringType(), required=False),
)
BY_NOTE = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "by_note"))


@pytest.mark.parametrize(
    "spec", [UNPARTITIONED_PARTITION_SPEC, BY_NOTE], ids=["unpartitioned", "partitioned"]
)
@pytest.mark.parametrize("bad", [{"note": "n"}, {"label": None}], ids=["missing", "null"])
async def test_a_row_without_a_required_column_is_refused(
    bad: dict[str, str | None],
    spec: PartitionSpec,
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
) -> None:
    catalog.create_namespace("default")
    catalog.create_table("default.orders", COLUMNS, partition_spec=spec)
    await lake.append(batch(decoder, {"label": "a"}))
    with pytest.raises(LakegateError, match="row 2: column label is required") as refusal:
        await lake.append(batch(decoder, {"label": "b"}, bad))
    assert refusal.value.code is ErrorCode.BAD_REQUEST_BODY
    assert labels(catalog) == ["a"]
