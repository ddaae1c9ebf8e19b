"""Limits the tables that are created by rows, per database."""

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError

from lakegate import clock
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import TableName

# How long a database that has reached the limit is not counted again.
REMEMBERED_SECONDS = 10.0


class TableLimit:
    """Counts the tables of databases. Thread-safe."""

    def __init__(self, catalog: Catalog, limit: int) -> None:
        """Refuse auto-created tables in databases with `limit` tables or more; 0 is no limit."""
        self._catalog = catalog
        self._limit = limit
        self._full_since: dict[str, float] = {}

    def check(self, name: TableName) -> None:
        """Raise `LakegateError` (table_not_found) if rows may not create this table. Blocks."""
        if self._limit and self._is_full(name.database):
            raise LakegateError(
                ErrorCode.TABLE_NOT_FOUND,
                f"There is no table {name}, and rows create none in a database of {self._limit} "
                "tables: create it with EnsureTable, or raise LAKEGATE_MAX_TABLES.",
            )

    def _is_full(self, database: str) -> bool:
        since = self._full_since.get(database)
        if since is not None and clock.monotonic() - since < REMEMBERED_SECONDS:
            return True
        self._full_since.pop(database, None)
        if self._count(database) < self._limit:
            return False
        self._full_since[database] = clock.monotonic()
        return True

    def _count(self, database: str) -> int:
        try:
            return len(self._catalog.list_tables((database,)))
        except NoSuchNamespaceError:
            return 0
