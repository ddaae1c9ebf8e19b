"""Metadata files are identical to PyIceberg's."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import Table
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import load

from lakegate.lake.catalog.metadata_file import MetadataWriter
from lakegate.lake.lake import Lake


async def versions(lake: Lake, catalog: Catalog, decoder: LinesDecoder) -> list[Table]:
    """Return all versions of a table whose snapshots are added and expire."""
    tables = []
    for number in range(6):
        await lake.append(
            batch(decoder, {"label": str(number), f"column_{number}": '"snapshots":[]'})
        )
        tables.append(load(catalog))
    with load(catalog).transaction() as transaction:
        transaction.set_properties({"user.note": '"snapshots":[]'})
    tables.append(load(catalog))
    load(catalog).maintenance.expire_snapshots().by_ids(
        [snapshot.snapshot_id for snapshot in tables[2].snapshots()]
    ).commit()
    return [*tables, load(catalog)]


@pytest.mark.parametrize("suffix", ["metadata.json", "gz.metadata.json"])
async def test_each_version_is_written_as_pyiceberg_writes_it(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, tmp_path: Path, suffix: str
) -> None:
    io, writer = PyArrowFileIO(), MetadataWriter()
    for number, table in enumerate(await versions(lake, catalog, decoder)):
        ours, theirs = (f"{tmp_path}/{name}-{number}.{suffix}" for name in ("ours", "theirs"))
        writer.write(table.metadata, io.new_output(ours))
        ToOutputFile.table_metadata(table.metadata, io.new_output(theirs))
        assert content(ours) == content(theirs)


async def test_a_table_of_version_1_is_written_as_pyiceberg_writes_it(
    catalog: Catalog, tmp_path: Path
) -> None:
    io, writer = PyArrowFileIO(), MetadataWriter()
    catalog.create_namespace("default")
    columns = pa.schema([("label", pa.string())])
    catalog.create_table("default.orders", columns, properties={"format-version": "1"})
    for version in range(4):
        load(catalog).append(pa.table({"label": ["a"]}))
        if version == 2:
            load(catalog).transaction().upgrade_table_version(2).commit_transaction()
        metadata = load(catalog).metadata
        ours, theirs = (f"{tmp_path}/{name}-{version}.metadata.json" for name in ("ours", "theirs"))
        writer.write(metadata, io.new_output(ours))
        ToOutputFile.table_metadata(metadata, io.new_output(theirs))
        assert content(ours) == content(theirs)


def content(path: str) -> bytes:
    data = Path(path).read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
