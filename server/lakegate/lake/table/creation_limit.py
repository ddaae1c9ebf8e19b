"""How many tables rows may make: a sender that makes up names must not fill the catalog."""

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError

from lakegate import clock
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import TableName

# How long a database that is full is not counted again.
REMEMBERED_SECONDS = 10.0


class TableLimit:
    """Counts the tables of databases. Any number of threads may use one."""

    def __init__(self, catalog: Catalog, most: int) -> None:
        """Limit auto-created tables to databases that have fewer than `most`; 0 is no limit."""
        self._catalog = catalog
        self._most = most
        self._full_since: dict[str, float] = {}

    def check(self, name: TableName) -> None:
        """Raise `LakegateError` (table_not_found) where rows may not make this table. Blocks."""
        if self._most and self._is_full(name.database):
            raise LakegateError(
                ErrorCode.TABLE_NOT_FOUND,
                f"There is no table {name}, and rows make no more than {self._most} in a database: "
                "make it by EnsureTable, or let rows make more with LAKEGATE_MAX_TABLES.",
            )

    def _is_full(self, database: str) -> bool:
        since = self._full_since.get(database)
        if since is not None and clock.monotonic() - since < REMEMBERED_SECONDS:
            return True
        self._full_since.pop(database, None)
        if self._count(database) < self._most:
            return False
        self._full_since[database] = clock.monotonic()
        return True

    def _count(self, database: str) -> int:
        try:
            return len(self._catalog.list_tables((database,)))
        except NoSuchNamespaceError:
            return 0
