"""Table properties that another engine has set to values that PyIceberg or PyArrow cannot use."""

import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import COLUMNS, LinesDecoder, batch
from tests.testing.reading import duckdb_rows, file_rows, labels, load

from lakegate.lake.catalog.usable_properties import usable
from lakegate.lake.lake import Lake

CODEC, LEVEL = "write.parquet.compression-codec", "write.parquet.compression-level"


@pytest.mark.parametrize(
    "properties",
    [
        {"write.avro.compression-codec": "GZIP"},
        {"write.avro.compression-codec": "uncompressed"},
        {"write.avro.compression-codec": "snappy"},
        {"write.avro.compression-codec": ""},
        {CODEC: "UNCOMPRESSED"},
        {CODEC: "lzo"},
        {CODEC: "snappy", LEVEL: "3"},
        {CODEC: "gzip", LEVEL: "99"},
        {"write.parquet.dict-size-bytes": "9" * 19},
        {"write.parquet.row-group-limit": "0"},
        {"write.parquet.row-group-limit": "-3"},
        {"write.parquet.page-row-limit": "9" * 19},
        {"write.metadata.metrics.default": "bogus"},
        {"write.metadata.metrics.default": "truncate(0)"},
        {"write.metadata.metrics.column.label": "bogus"},
    ],
    ids=str,
)
async def test_rows_are_committed(
    properties: dict[str, str], lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    catalog.create_namespace("default")
    catalog.create_table("default.orders", COLUMNS, properties=properties)
    await lake.append(batch(decoder, {"label": "a"}))
    assert load(catalog).properties == properties
    assert labels(catalog) == duckdb_rows(catalog) == ["a"]


def test_pages_have_at_least_one_row() -> None:
    # PyArrow writes pages of no rows forever.
    assert usable({"write.parquet.page-row-limit": "0", "comment": "0"}) == {"comment": "0"}


async def test_codecs_in_upper_case_are_used(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    catalog.create_namespace("default")
    catalog.create_table("default.orders", COLUMNS, properties={CODEC: "GZIP", LEVEL: "9"})
    await lake.append(batch(decoder, {"label": "a"}))
    [path] = file_rows(catalog)["file_path"].to_pylist()
    column = pq.ParquetFile(path.removeprefix("file://")).metadata.row_group(0).column(0)
    assert column.compression == "GZIP"


async def test_the_location_of_files_may_have_an_odd_setting(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    with load(catalog).transaction() as transaction:
        transaction.set_properties({"write.object-storage.enabled": "sometimes"})
    await lake.append(batch(decoder, {"label": "b"}))
    assert labels(catalog) == ["a", "b"]
