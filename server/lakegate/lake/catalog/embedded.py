"""The embedded catalog belongs to one home: it is refused in a copy of it, and after a move.

Tables name their files by absolute paths (Iceberg table spec, "Table Metadata"). In a copied home
they are the files of the original, which a compaction or a sweep of the copy would delete.
"""

import re
from pathlib import Path

from pyiceberg.catalog import WAREHOUSE_LOCATION
from pyiceberg.catalog.sql import IcebergTables
from pyiceberg.io.pyarrow import PyArrowFileIO
from sqlalchemy import CheckConstraint, Column, Connection, Integer, MetaData, Table, Text, select
from sqlalchemy import inspect as inspected
from sqlalchemy.dialects.sqlite import insert
from typing_extensions import override

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.sql import LeanSqlCatalog

WAREHOUSE = "warehouse"
SCHEME = "file://"
# In the folder of a home while it is restored.
UNFINISHED = "restore-unfinished"

# The metadata file of a table in a home: …/warehouse/database/table/metadata/file.
_TABLE_FILE = re.compile(rf"{SCHEME}(.*)/{WAREHOUSE}/[^/]+/[^/]+/metadata/[^/]+$")

# The home that the catalog belongs to, as an absolute path.
HOME = Table(
    "lakegate_home",
    MetaData(),
    Column("only", Integer, CheckConstraint("only = 1"), primary_key=True),
    Column("path", Text, nullable=False),
)


class HomeFileIO(PyArrowFileIO):
    """PyIceberg's file access over PyArrow, which deletes nothing outside the warehouse."""

    @override
    def delete(self, location: object) -> None:
        """Delete a file. Raises `PermissionError` for one outside the warehouse."""
        path = str(getattr(location, "location", location))
        warehouse = self.properties.get(WAREHOUSE_LOCATION, "")
        if not is_below(path, warehouse):
            raise PermissionError(f"{path} is not in the warehouse of this home")
        super().delete(path)


class EmbeddedCatalog(LeanSqlCatalog):
    """The SQLite catalog in a home."""

    @property
    def warehouse(self) -> str:
        """The location of the warehouse."""
        return str(self.properties[WAREHOUSE_LOCATION])

    def bind(self, home: Path) -> None:
        """Record that the catalog belongs to `home`, if nothing is recorded yet.

        Raises `LakegateError` (invalid_argument) if it belongs to another home.
        """
        if (home / UNFINISHED).exists():
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT,
                f"The restore of {home} was not finished: delete it and run the restore again.",
            )
        with self.engine.connect() as connection:
            recorded = _recorded_home(connection)
            known = home_of(connection, home)
        if known is None or known == home:
            if recorded is None:
                with self.engine.begin() as connection:
                    set_home(connection, home)
        elif is_same_folder(known, home):
            self.properties[WAREHOUSE_LOCATION] = f"{SCHEME}{known / WAREHOUSE}"
        else:
            raise _moved(home, known)


def home_of(connection: Connection, home: Path) -> Path | None:
    """Return the home that a catalog in the folder `home` belongs to; None for one without tables.

    Catalogs from before homes were recorded belong to the home of their tables.
    """
    return _recorded_home(connection) or _home_of_tables(connection, home)


def set_home(connection: Connection, home: Path) -> None:
    """Record that a catalog belongs to `home`."""
    HOME.create(connection, checkfirst=True)
    row = {"only": 1, "path": str(home)}
    connection.execute(insert(HOME).values(row).on_conflict_do_update(["only"], set_=row))


def _recorded_home(connection: Connection) -> Path | None:
    if not inspected(connection).has_table(HOME.name):
        return None
    path = connection.execute(select(HOME.c.path)).scalar_one_or_none()
    return Path(path) if path else None


def local_path(location: str) -> Path:
    """Return the path of a local file: engines write file:///x, file:/x or /x."""
    return Path(location.removeprefix(SCHEME).removeprefix("file:"))


def is_below(location: str, folder: str) -> bool:
    """Whether a local file is below a folder, after `..` and symbolic links."""
    if not folder:
        return False
    path, root = (local_path(each).resolve() for each in (location, folder))
    return root in path.parents


def _home_of_tables(connection: Connection, home: Path) -> Path | None:
    """Return the home of the tables in a catalog without a record; None if it cannot be told."""
    locations = connection.execute(select(IcebergTables.metadata_location)).scalars()
    homes = {Path(found[1]) for each in locations if each and (found := _TABLE_FILE.match(each))}
    return home if home in homes else min(homes, default=None)


def is_same_folder(one: Path, other: Path) -> bool:
    """Whether two paths are of one folder; false for one that this user cannot see."""
    try:
        return one.samefile(other)
    except OSError:  # it is gone, or another user's
        return False


def _moved(home: Path, original: Path) -> LakegateError:
    return LakegateError(
        ErrorCode.INVALID_ARGUMENT,
        f"The home {home} was copied or moved from {original}, whose files its tables name: put it "
        f"back there, or make a new home of it: LAKEGATE_HOME=NEW lakegate restore {home}",
    )
