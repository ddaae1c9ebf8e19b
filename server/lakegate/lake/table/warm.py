"""A table of this process: its state kept warm, its changes made one at a time."""

import asyncio

import pyarrow as pa
from pyiceberg.catalog import Catalog

from lakegate import clock
from lakegate.concurrency.workers import Workers
from lakegate.lake.catalog.sql import compares_all_metadata
from lakegate.lake.failures import ColumnConflictError, TableMissingError
from lakegate.lake.table.creation_limit import TableLimit
from lakegate.lake.table.old_metadata import OldMetadata
from lakegate.lake.table.schema import new_columns
from lakegate.lake.table.state import TableState, current_uuid, load_state
from lakegate.lake.table.tables import create_table, widen
from lakegate.model import TableName

# How long a state is trusted without asking the catalog again.
WARM_SECONDS = 600.0
# The same where a commit does not compare all of it.
UNCOMPARED_WARM_SECONDS = 10.0


class WarmTable:
    """The state of one table, and the lock for whoever changes the table at the catalog.

    Others may change the table at any time; that shows as a conflict, after
    which the state is forgotten and read anew.
    """

    def __init__(
        self, catalog: Catalog, name: TableName, workers: Workers, limit: TableLimit
    ) -> None:
        """Know the table `name`, which need not exist yet; what blocks goes to `workers`.

        `limit`: whether rows may make it.
        """
        self.name = name
        self.catalog = catalog
        self.workers = workers
        self.lock = asyncio.Lock()
        self.old_metadata = OldMetadata()
        self._limit = limit
        self._state: TableState | None = None

    async def state(self) -> TableState | None:
        """Return the state, read from the catalog where none is warm; None for a missing table."""
        if self._warm:
            return self._state  # even while a commit is under way
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
        """Return the state to a holder of the lock. Raises `TableMissingError`."""
        if not self._warm:
            self._state = None
            self._state = await self.workers.run(load_state, self.catalog, self.name)
        assert self._state is not None  # noqa: S101 - that is what warm means
        return self._state

    @property
    def warm_state(self) -> TableState | None:
        """The state, where one is warm."""
        return self._state if self._warm else None

    @property
    def _warm(self) -> bool:
        state = self._state
        compared = compares_all_metadata(self.catalog)
        seconds = WARM_SECONDS if compared else UNCOMPARED_WARM_SECONDS
        return state is not None and clock.monotonic() - state.loaded_at < seconds

    def remember(self, state: TableState) -> None:
        """Keep the state that a change led to; for holders of the lock."""
        if self._state is not None:
            self.old_metadata.superseded(self._state, state)
        self._state = state

    def forget(self) -> None:
        """Read the table anew the next time."""
        self._state = None

    async def create(self, columns: pa.Schema) -> TableState:
        """Make the table for rows.

        Raises `ColumnConflictError` where another server made it otherwise, and
        `LakegateError` (table_not_found) where the database has too many.
        """
        async with self.lock:
            await self.workers.run(self._limit.check, self.name)
            state = await self.workers.run(create_table, self.catalog, self.name, columns)
            self.remember(state)
            if new_columns(columns, state.arrow_schema).names:
                raise ColumnConflictError(f"{self.name} was made with other columns.")
            return state

    async def widen(self, rows: pa.Schema) -> TableState:
        """Add the columns of `rows` that the table lacks. Raises `ColumnConflictError`."""
        async with self.lock:
            state = await self.locked_state()
            state = await self.workers.run(widen, self.catalog, state, self.name, rows)
            self.remember(state)
            return state
