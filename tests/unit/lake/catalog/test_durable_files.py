"""The files of an acknowledged snapshot are synced to the disk."""

import os
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import load

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were synced before the last commit, in order."""
    before_commit: list[str] = []
    so_far: list[str] = []
    fsync, swap = os.fsync, LeanSqlCatalog._swap

    def noting(descriptor: int) -> None:
        fsync(descriptor)
        so_far.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    def making_known(catalog: LeanSqlCatalog, table: Table, location: str) -> None:
        before_commit[:] = so_far
        swap(catalog, table, location)

    monkeypatch.setattr(os, "fsync", noting)
    monkeypatch.setattr(LeanSqlCatalog, "_swap", making_known)
    return before_commit


def files_of(table: Table) -> set[str]:
    """Return every file that the current snapshot references."""
    snapshot = table.current_snapshot()
    assert snapshot
    manifests = snapshot.manifests(table.io)
    locations = [
        table.metadata_location,
        snapshot.manifest_list,
        *(manifest.manifest_path for manifest in manifests),
        *(task.file.file_path for task in table.scan().plan_files()),
    ]
    return {location.removeprefix("file://") for location in locations}


async def test_every_file_of_a_commit_is_synced_before_the_commit(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, synced: list[str]
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    files = files_of(load(catalog))
    assert len(files) == 4
    assert files <= set(synced)


async def test_the_names_of_new_files_and_folders_are_synced_too(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, synced: list[str]
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    folders = {str(Path(file).parent) for file in files_of(load(catalog))}
    table = {str(Path(folder).parent) for folder in folders}
    assert folders | table <= set(synced)


async def test_names_are_synced_after_the_last_file_of_a_commit(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, synced: list[str]
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    await lake.append(batch(decoder, {"label": "b"}))
    for file in files_of(load(catalog)) & set(synced):
        assert str(Path(file).parent) in synced[synced.index(file) :]
    assert synced[-1] == str(Path(load(catalog).metadata_location.removeprefix("file://")).parent)


async def test_syncs_can_be_disabled(
    settings: Settings, decoder: LinesDecoder, synced: list[str]
) -> None:
    lake = Lake(open_catalog(settings.catalog, settings.home, fsync=False), settings)
    await lake.append(batch(decoder, {"label": "a"}))
    await lake.close()
    assert synced == []
