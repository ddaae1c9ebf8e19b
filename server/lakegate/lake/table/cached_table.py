"""A table with a cached state, and a lock for its changes."""

import asyncio

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakegate import clock
from lakegate.concurrency.workers import Workers
from lakegate.lake.catalog.sql import compares_all_metadata
from lakegate.lake.failures import ColumnConflictError, TableMissingError
from lakegate.lake.table.creation_limit import TableLimit
from lakegate.lake.table.removed_metadata import RemovedMetadata
from lakegate.lake.table.schema import new_columns
from lakegate.lake.table.state import TableState, current_uuid, load_state
from lakegate.lake.table.tables import create_table, widen
from lakegate.model import TableName

# How long a state is used before it is read from the catalog again.
CACHE_SECONDS = 600.0
# The same for catalogs whose commits do not compare all metadata.
UNCOMPARED_CACHE_SECONDS = 10.0


class CachedTable:
    """The cached state of one table, and the lock that every change of the table holds.

    Other writers may change the table at any time. A commit on a stale state fails with a conflict;
    the state is then read again.
    """

    def __init__(
        self, catalog: Catalog, name: TableName, workers: Workers, limit: TableLimit
    ) -> None:
        """Use the table `name`, which may not exist yet. Blocking calls run in `workers`.

        `limit`: the limit on tables that rows create.
        """
        self.name = name
        self.catalog = catalog
        self.workers = workers
        self.lock = asyncio.Lock()
        self.removed_metadata = RemovedMetadata()
        self._limit = limit
        self._state: TableState | None = None

    async def state(self) -> TableState | None:
        """Return the state, from the cache or the catalog; None for a missing table."""
        if self._is_fresh:
            return self._state  # without the lock, which a commit may hold
        async with self.lock:
            try:
                return await self.locked_state()
            except TableMissingError:
                return None

    async def was_replaced(self) -> bool:
        """Read from the catalog whether the name now refers to another table, or none."""
        state = await self.state()
        uuid = await self.workers.run(current_uuid, self.catalog, self.name)
        if state is None or state.uuid == uuid:
            return False
        self.forget()
        return True

    async def locked_state(self) -> TableState:
        """Return the state. The caller holds the lock. Raises `TableMissingError`."""
        if not self._is_fresh:
            self._state = None
            self._state = await self.workers.run(load_state, self.catalog, self.name)
        assert self._state is not None  # noqa: S101 - a fresh state is not None
        return self._state

    @property
    def cached_state(self) -> TableState | None:
        """The state, if a fresh one is cached."""
        return self._state if self._is_fresh else None

    @property
    def _is_fresh(self) -> bool:
        state = self._state
        compared = compares_all_metadata(self.catalog)
        seconds = CACHE_SECONDS if compared else UNCOMPARED_CACHE_SECONDS
        return state is not None and clock.monotonic() - state.loaded_at < seconds

    def remember(self, state: TableState) -> None:
        """Cache the state after a change. The caller holds the lock."""
        if self._state is not None:
            self.removed_metadata.record(self._state, state)
        self._state = state

    def forget(self) -> None:
        """Discard the state, so that it is read from the catalog again."""
        self._state = None

    async def create(self, columns: pa.Schema) -> TableState:
        """Create the table for rows.

        Raises `ColumnConflictError` if another server created it with other columns, and
        `LakegateError` (table_not_found) if the database has too many tables.
        """
        async with self.lock:
            await self.workers.run(self._limit.check, self.name)
            state = await self.workers.run(create_table, self.catalog, self.name, columns)
            self.remember(state)
            if new_columns(columns, state.arrow_schema).names:
                raise ColumnConflictError(f"{self.name} was created with other columns.")
            return state

    async def widen(self, rows: pa.Schema) -> TableState:
        """Add the columns of `rows` that the table does not have. Raises `ColumnConflictError`."""
        async with self.lock:
            state = await self.locked_state()
            state = await self.workers.run(widen, self.catalog, state, self.name, rows)
            self.remember(state)
            return state
