"""A backup has every file that its catalog names, whatever maintenance deletes meanwhile."""

import os
import shutil
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import labels, load
from tests.testing.sweeping import AT_ONCE, append_each

from lakegate.errors import LakegateError
from lakegate.lake.backup import files, save
from lakegate.lake.backup.avro_edits import edited
from lakegate.lake.backup.restore import restore
from lakegate.lake.catalog.embedded import local_path
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import GracePeriods, MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings

ONE_SNAPSHOT = MaintenancePolicy(Retention(1, 0, 0), grace_periods=GracePeriods(0, 0))


def restored(backup: Path, home: Path) -> list[str]:
    """Restore a backup; return the labels of its rows."""
    restore(backup, home)
    with open_catalog("lakegate", home) as catalog:
        return labels(catalog)


def files_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


async def test_files_that_are_deleted_during_a_backup_are_not_in_it_and_none_is_missing(
    lake: Lake,
    settings: Settings,
    catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await append_each(lake, "a", "b", "c")
    backup = tmp_path.parent / f"{tmp_path.name}-backup"
    linked: list[Path] = []

    def link_and_maintain(source: Path, target: Path) -> None:
        files.link_or_copy(source, target)
        linked.append(target)
        if len(linked) == 1:
            for _ in range(2):
                Maintenance(catalog, ONE_SNAPSHOT).run()

    monkeypatch.setattr(save, "link_or_copy", link_and_maintain)
    saved = save.save(settings.home, backup)
    named = files_in(backup / "warehouse")
    assert saved.files == len(named)
    assert len([path for path in named if path.suffix == ".parquet"]) == 1
    assert restored(backup, tmp_path / "new") == ["a", "b", "c"]


async def test_a_backup_without_hard_links_is_a_copy(
    lake: Lake, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link", str(source), None, str(target))

    monkeypatch.setattr(os, "link", no_links)
    await append_each(lake, "a", "b")
    backup = tmp_path.parent / f"{tmp_path.name}-backup"
    save.save(settings.home, backup)
    assert {path.stat().st_nlink for path in backup.rglob("*") if path.is_file()} == {1}
    assert restored(backup, tmp_path / "new") == ["a", "b"]


async def test_a_restored_table_is_written_to_and_compacted_and_the_backup_stays_as_it_is(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    await append_each(lake, "a", "b")
    backup = tmp_path.parent / f"{tmp_path.name}-backup"
    new = Settings(home=tmp_path / "new")
    save.save(settings.home, backup)
    before = {path: (backup / path).read_bytes() for path in files_in(backup)}
    restore(backup, new.home)
    with open_catalog("lakegate", new.home) as catalog:
        second = Lake(open_catalog("lakegate", new.home), new)
        await second.append(batch(LinesDecoder(), {"label": "c", "more": "x"}))
        await second.close()
        Maintenance(catalog, AT_ONCE).run()
        Maintenance(catalog, AT_ONCE).run()
        assert labels(catalog) == ["a", "b", "c"]
    assert {path: (backup / path).read_bytes() for path in files_in(backup)} == before


async def test_a_home_that_was_moved_is_restored_as_a_new_one(lake: Lake, tmp_path: Path) -> None:
    await append_each(lake, "a", "b")
    await lake.close()
    moved = Path(shutil.move(tmp_path, f"{tmp_path}-moved"))
    assert restored(moved, tmp_path / "new") == ["a", "b"]


async def test_a_table_with_position_deletes_is_restored_only_at_its_path(
    lake: Lake, settings: Settings, catalog: Catalog, tmp_path: Path
) -> None:
    """Such deletes name data files by their paths, in files that are not written again."""
    await append_each(lake, "a")
    backup = tmp_path.parent / f"{tmp_path.name}-backup"
    snapshot = load(catalog).current_snapshot()
    assert snapshot is not None
    [manifest] = snapshot.manifests(load(catalog).io)
    save.save(settings.home, backup)
    saved = backup / local_path(manifest.manifest_path).relative_to(settings.home)
    files.replace_file(saved, edited(saved.read_bytes(), {("data_file", "content"): lambda _: 1}))
    with pytest.raises(LakegateError, match=f"restore it to {settings.home}, or compact it"):
        restore(backup, tmp_path / "new")


async def test_folders_that_are_in_use_are_refused(
    lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    await append_each(lake, "a")
    backup = tmp_path.parent / f"{tmp_path.name}-backup"
    save.save(settings.home, backup)
    with pytest.raises(LakegateError, match="exists and is not empty"):
        save.save(settings.home, backup)
    with pytest.raises(LakegateError, match="is in the home"):
        save.save(settings.home, tmp_path / "inside")
    with pytest.raises(LakegateError, match="exists and is not empty"):
        restore(backup, settings.home)
    with pytest.raises(LakegateError, match="may be in use"):
        restore(settings.home, tmp_path / "new")
    with pytest.raises(LakegateError, match="is not a whole backup"):
        restore(backup / "warehouse", tmp_path / "new")


async def test_a_home_whose_restore_was_not_finished_is_refused(
    lake: Lake, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_each(lake, "a")
    backup, new = tmp_path.parent / f"{tmp_path.name}-backup", tmp_path / "new"
    save.save(settings.home, backup)
    monkeypatch.setattr("lakegate.lake.backup.restore.os.sync", _no_space)
    with pytest.raises(OSError, match="no space"):
        restore(backup, new)
    with pytest.raises(LakegateError, match="was not finished: delete it"):
        open_catalog("lakegate", new)


def _no_space() -> None:
    raise OSError("no space")
