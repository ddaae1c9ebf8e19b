"""The backup of a home that is in use: its databases, and every file that its catalog names."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import CATALOG, LEDGER, make_private
from lakegate.lake.backup.databases import copy_databases
from lakegate.lake.backup.files import files_of_table, link_or_copy, metadata_locations
from lakegate.lake.catalog.embedded import WAREHOUSE, is_below, local_path

# Each attempt copies only what the one before it has not copied, so a later one is quick.
ATTEMPTS = 10
# A folder is a backup once it has `catalog.db`.
_UNFINISHED_CATALOG = f"{CATALOG}.unfinished"
DEVELOPMENT_TOKEN = "dev-token"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class Saved:
    """The numbers of tables and files of a backup; `outside`: of files not in the warehouse."""

    tables: int
    files: int
    outside: int


def save(home: Path, folder: Path) -> Saved:
    """Back up `home`, whose path is that of its catalog, in a new folder. Blocks.

    Raises `LakegateError`: invalid_argument for a folder that is not empty, or in the home;
    unavailable if maintenance deletes files faster than they are copied.
    """
    _check(home, folder)
    make_private(folder)
    for _ in range(ATTEMPTS):
        copy_databases(home, folder / _UNFINISHED_CATALOG, folder / LEDGER)
        try:
            saved = _save_files(home, folder)
        except FileNotFoundError:
            continue  # a file of the copied catalog was deleted since
        if (home / DEVELOPMENT_TOKEN).exists():
            shutil.copy2(home / DEVELOPMENT_TOKEN, folder)
        os.sync()
        (folder / _UNFINISHED_CATALOG).rename(folder / CATALOG)
        os.sync()
        return saved
    raise LakegateError(
        ErrorCode.UNAVAILABLE,
        f"Files were deleted while they were copied, {ATTEMPTS} times: back up to a folder on the "
        "file system of the home, where no data is copied",
    )


def _check(home: Path, folder: Path) -> None:
    if is_below(str(folder), str(home)) or folder.resolve() == home.resolve():
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, f"{folder} is in the home that it is of")
    check_empty(folder)


def check_empty(folder: Path) -> None:
    """Raise `LakegateError` (invalid_argument) unless a folder is empty or missing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, f"{folder} exists and is not empty")


def _save_files(home: Path, folder: Path) -> Saved:
    """Copy the files that the copied catalog names. Raises `FileNotFoundError` if one is gone."""
    warehouse = home / WAREHOUSE
    saved: set[Path] = set()
    outside: set[str] = set()
    tables = metadata_locations(folder / _UNFINISHED_CATALOG)
    for table in tables:
        for location, needed in files_of_table(table):
            source = local_path(location)
            if not source.is_relative_to(warehouse):
                outside.add(location)
            elif needed or source.exists():
                target = folder / WAREHOUSE / source.relative_to(warehouse)
                link_or_copy(source, target)
                saved.add(target)
    for path in (folder / WAREHOUSE).rglob("*"):
        if path.is_file() and path not in saved:
            path.unlink()  # of an earlier attempt
    return Saved(len(tables), len(saved), len(outside))
