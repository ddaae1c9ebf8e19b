"""The files of a warehouse that a catalog names, and their copies."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table

from lakegate.lake.catalog.embedded import HomeFileIO
from lakegate.lake.maintenance.references import References
from lakegate.lake.table.state import TableState

_UNFINISHED = ".unfinished"
_VIEW = "VIEW"


def metadata_locations(catalog: Path) -> list[str]:
    """Return the location of the metadata file of every table in a catalog, in all its names."""
    with closing(sqlite3.connect(catalog)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM iceberg_tables")]
    return [
        row["metadata_location"]
        for row in rows
        if row["metadata_location"] and row.get("iceberg_type") != _VIEW
    ]


def files_of_table(metadata_location: str) -> Iterator[tuple[str, bool]]:
    """Yield the location of every file that the table references, and whether readers need it.

    Readers do not need former metadata files, which other engines may have deleted.
    """
    io = HomeFileIO()
    metadata = FromInputFile.table_metadata(io.new_input(metadata_location))
    table = Table(("table",), metadata, metadata_location, io, NoopCatalog("backup"))
    former = {entry.metadata_file for entry in metadata.metadata_log}
    for location in dict.fromkeys(References().of(TableState(table))):
        yield location, location not in former


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy on another file system, whole or not at all.

    Files of Iceberg never change. An existing target stays.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # on another file system, or on one without hard links
        unfinished = target.with_name(f".{target.name}{_UNFINISHED}")
        shutil.copyfile(source, unfinished)
        unfinished.replace(target)


def replace_file(target: Path, data: bytes) -> None:
    """Replace a file, and not what is hard linked to it."""
    unfinished = target.with_name(f".{target.name}{_UNFINISHED}")
    unfinished.write_bytes(data)
    unfinished.replace(target)
