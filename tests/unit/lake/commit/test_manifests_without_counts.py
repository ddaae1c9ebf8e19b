"""Manifest lists of version 1 may have no counts of files and rows."""

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestFile, clear_manifest_cache
from tests.testing.lines import COLUMNS, LinesDecoder, batch
from tests.testing.reading import duckdb_rows, labels, load

from lakegate.lake.files.manifest_files import write_manifest_list
from lakegate.lake.lake import Lake

# The positions of the counts in a `ManifestFile`.
COUNTS = range(7, 13)


@pytest.mark.parametrize("commits", [1, 12])
async def test_rows_of_a_manifest_without_counts_stay_in_the_table(
    commits: int, lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    catalog.create_namespace("default")
    catalog.create_table("default.orders", COLUMNS, properties={"format-version": "1"})
    await other_lake.append(batch(decoder, {"label": "old"}))
    remove_counts(catalog)
    for _ in range(commits):
        await lake.append(batch(decoder, {"label": "new"}))
    assert labels(catalog) == duckdb_rows(catalog) == ["new"] * commits + ["old"]


def remove_counts(catalog: Catalog) -> None:
    """Rewrite the manifest list of the current snapshot as an old writer would have written it."""
    table = load(catalog)
    snapshot = table.current_snapshot()
    assert snapshot is not None
    manifests = [uncounted(each) for each in snapshot.manifests(table.io)]
    output = PyArrowFileIO().new_output(snapshot.manifest_list)
    write_manifest_list(output, table.metadata, snapshot.snapshot_id, manifests)
    clear_manifest_cache()


def uncounted(manifest: ManifestFile) -> ManifestFile:
    bare = ManifestFile(*(None if at in COUNTS else manifest[at] for at in range(len(manifest))))
    assert bare.added_files_count is bare.existing_files_count is bare.deleted_rows_count is None
    return bare
