"""The restore of a backup, or of a home that was moved, into a new home."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, create_engine

from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import CATALOG, LEDGER, make_private
from lakegate.lake.backup.databases import copy_database
from lakegate.lake.backup.files import link_or_copy, metadata_locations
from lakegate.lake.backup.relocation import Relocation
from lakegate.lake.backup.save import DEVELOPMENT_TOKEN, check_empty
from lakegate.lake.catalog.embedded import (
    UNFINISHED,
    WAREHOUSE,
    home_of,
    is_same_folder,
    set_home,
)


def restore(folder: Path, home: Path) -> int:
    """Restore the backup in `folder` to the new home `home`; return the number of tables. Blocks.

    The folder stays as it is. Raises `LakegateError`: invalid_argument for a folder that is no
    backup, a home that is not empty, and a table that cannot be restored at another path.
    """
    original = _original(folder)
    check_empty(home)
    make_private(home)
    (home / UNFINISHED).touch()
    for source in (folder / WAREHOUSE).rglob("*"):
        if source.is_file():
            link_or_copy(source, home / source.relative_to(folder))
    copy_database(folder / CATALOG, home / CATALOG)
    if (folder / LEDGER).exists():
        copy_database(folder / LEDGER, home / LEDGER)
    if (folder / DEVELOPMENT_TOKEN).exists():
        shutil.copy2(folder / DEVELOPMENT_TOKEN, home)
    tables = metadata_locations(home / CATALOG)
    if original != home:
        relocation = Relocation(original / WAREHOUSE, home / WAREHOUSE)
        moved = {table: relocation.relocate(table) for table in tables}
        _relocate_catalog(home, moved, relocation.moved)
    os.sync()
    (home / UNFINISHED).unlink()
    return len(tables)


def _original(folder: Path) -> Path:
    """Return the home that a backup is of."""
    if not (folder / CATALOG).exists():
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, f"{folder} is not a whole backup")
    engine = create_engine(URL.create("sqlite", database=str(folder / CATALOG)))
    with engine.connect() as connection:
        original = home_of(connection, folder) or folder
    engine.dispose()
    if is_same_folder(original, folder):
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"{folder} is a home that may be in use: make a backup of it, and restore that",
        )
    return original


def _relocate_catalog(home: Path, tables: dict[str, str], moved: Callable[[str], str]) -> None:
    with closing(sqlite3.connect(home / CATALOG)) as catalog, catalog:
        catalog.executemany(
            "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = NULL "
            "WHERE metadata_location = ?",
            [(new, old) for old, new in tables.items()],
        )
        properties = "SELECT rowid, property_value FROM iceberg_namespace_properties"
        catalog.executemany(
            "UPDATE iceberg_namespace_properties SET property_value = ? WHERE rowid = ?",
            [(moved(value), row) for row, value in catalog.execute(properties).fetchall()],
        )
    engine = create_engine(URL.create("sqlite", database=str(home / CATALOG)))
    with engine.begin() as connection:
        set_home(connection, home)
    engine.dispose()
