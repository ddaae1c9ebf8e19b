"""Edits of Avro files change the fields that they name, and no other byte of a record."""

from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFileContent
from pyiceberg.table import Table
from tests.testing.reading import load
from tests.testing.sweeping import append_each

from lakegate.lake.backup.avro_edits import Edits, edited
from lakegate.lake.catalog.embedded import local_path
from lakegate.lake.lake import Lake


async def manifests(lake: Lake, catalog: Catalog) -> tuple[Table, list[Path]]:
    await append_each(lake, "a", "b")
    table = load(catalog)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    listed = [local_path(each.manifest_path) for each in snapshot.manifests(table.io)]
    return table, [local_path(snapshot.manifest_list), *listed]


@pytest.mark.parametrize("codec", ["gzip", "null", "zstd"])
async def test_a_field_is_edited_and_the_others_are_as_before(
    lake: Lake, catalog: Catalog, codec: str
) -> None:
    await append_each(lake, "first")
    with load(catalog).transaction() as transaction:
        transaction.set_properties({"write.avro.compression-codec": codec})
    table, [_, manifest, *_] = await manifests(lake, catalog)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    before = snapshot.manifests(table.io)[0].fetch_manifest_entry(table.io)
    edits: Edits = {("data_file", "file_path"): lambda path: f"{path}-{'x' * 200}"}
    manifest.write_bytes(edited(manifest.read_bytes(), edits))
    after = snapshot.manifests(table.io)[0].fetch_manifest_entry(table.io)
    for one, other in zip(before, after, strict=True):
        assert other.data_file.file_path == f"{one.data_file.file_path}-{'x' * 200}"
        assert other.data_file.content is DataFileContent.DATA
        assert other.data_file.lower_bounds == one.data_file.lower_bounds
        assert other.data_file.record_count == one.data_file.record_count
        assert other.sequence_number == one.sequence_number
        assert other.snapshot_id == one.snapshot_id


async def test_without_edits_a_record_stays_the_same(lake: Lake, catalog: Catalog) -> None:
    with_properties = {"write.avro.compression-codec": "null"}
    await append_each(lake, "first")
    with load(catalog).transaction() as transaction:
        transaction.set_properties(with_properties)
    _, paths = await manifests(lake, catalog)
    for path in paths:
        assert edited(path.read_bytes(), {}) == path.read_bytes()


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not an Avro file"):
        edited(b"PAR1", {})


async def test_a_file_that_ends_early_is_refused(lake: Lake, catalog: Catalog) -> None:
    _, [path, *_] = await manifests(lake, catalog)
    with pytest.raises(ValueError, match="ends early"):
        edited(path.read_bytes()[:-1], {})
