"""The lake: its interface for the folders above, all tables together."""

import asyncio
from collections import OrderedDict

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError

from lakegate.concurrency.retry import commit_policy
from lakegate.concurrency.workers import DECODING_FACTOR, Workers
from lakegate.lake.commit.committer import TableCommitter
from lakegate.lake.commit.policy import CommitPolicy
from lakegate.lake.commit.replay import replay_of
from lakegate.lake.failures import as_lakegate_error, draining, outcome_unknown
from lakegate.lake.ledger.entries import Entry, entry_of, is_keyed
from lakegate.lake.ledger.expiry import LedgerExpiry, TimeToLive
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.maintenance.background import BackgroundMaintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.cached_table import CachedTable
from lakegate.lake.table.creation_limit import TableLimit
from lakegate.lake.table.definition import TableDefinition
from lakegate.lake.table.description import TableDescription, describe, load_description
from lakegate.lake.table.tables import ensure_table
from lakegate.model import Acknowledgement, Batch, TableName
from lakegate.settings import Settings

# Most of them wait for storage or for the catalog.
WORKER_THREADS = 32
HOUR_MS = 3_600_000
# How many idle tables are kept in memory; each takes some hundred kilobytes.
IDLE_TABLES = 256
# Larger bodies are digested in a thread.
DIGESTED_INLINE_BYTES = 64 * 1024


class Lake:
    """Commits batches to tables. Used from one event loop; its methods may run concurrently."""

    def __init__(
        self, catalog: Catalog, settings: Settings, workers: Workers | None = None
    ) -> None:
        """Serve the tables of `catalog`; `workers` run blocking calls, by default in threads."""
        decoding_bytes = settings.memory_budget // 2
        self._catalog = catalog
        self._max_columns = settings.max_table_columns
        self._table_limit = TableLimit(catalog, settings.max_tables)
        self._ledger = Ledger(settings.ledger_database, settings.ledger_lease_seconds)
        maintenance = MaintenancePolicy.of(settings)
        self._policy = CommitPolicy(
            group_max_bytes=min(settings.group_max_bytes, decoding_bytes // DECODING_FACTOR),
            interval_seconds=settings.commit_interval_ms / 1000,
            retry=commit_policy(settings.commit_attempts),
            retention=maintenance.retention,
        )
        self._committers: OrderedDict[TableName, TableCommitter] = OrderedDict()
        self._maintenance = BackgroundMaintenance(
            catalog,
            maintenance,
            settings.maintenance_interval_seconds,
            self._committers.values,
        )
        self._workers = workers or Workers(WORKER_THREADS, decoding_bytes)
        self._ledger_expiry = LedgerExpiry(
            self._ledger,
            self._workers,
            TimeToLive(
                key_ms=round(settings.ledger_ttl_hours * HOUR_MS),
                stream_ms=round(settings.ledger_stream_ttl_hours * HOUR_MS),
            ),
        )
        self._closed = False

    async def append(self, batch: Batch) -> Acknowledgement:
        """Commit a batch; return once its rows are in a snapshot.

        Raises `LakegateError`; then nothing of the batch is in the table, unless the code is
        OUTCOME_UNKNOWN.
        """
        if self._closed:
            raise draining()
        self._maintenance.start()
        entry = await self._entry_of(batch)
        if self._closed:
            raise draining()
        while entry and (first := self._committer(batch.table).exactly_once.in_flight.get(entry)):
            if (acknowledgement := await replay_of(first, batch, entry)) is not None:
                return acknowledgement
            if self._closed:
                raise outcome_unknown() if first.in_doubt else draining()
        return await self._committer(batch.table).append(batch, entry)

    def abort(self) -> None:
        """Refuse new batches, and every batch that is not answered.

        The code is `outcome_unknown` if the commit of the batch may have reached the catalog, and
        `unavailable` if it never will.
        """
        self._closed = True
        for committer in self._committers.values():
            committer.abort()

    async def _entry_of(self, batch: Batch) -> Entry | None:
        """Return the entry of a keyed batch."""
        if not is_keyed(batch):
            return None
        self._ledger_expiry.periodic.start()
        if batch.idempotency_key is None or len(batch.body.data) < DIGESTED_INLINE_BYTES:
            return entry_of(batch)  # without a thread, batches of a stream keep their order
        return await self._workers.run(entry_of, batch)

    async def next_offset(self, name: TableName, stream_id: str) -> int:
        """Return the next offset of a stream; 0 for an unknown one."""
        try:
            return await self._committer(name).exactly_once.next_offset(stream_id)
        except Exception as error:
            raise as_lakegate_error(error, name) from error

    async def ensure_table(
        self, name: TableName, default: pa.Schema, definition: TableDefinition | None = None
    ) -> TableDescription:
        """Create a table, or widen it to `definition`; a new one has the columns `default`.

        Raises `LakegateError` (schema_conflict) for a change that is not a widening.
        """
        if self._closed:
            raise draining()
        table = self._committer(name).table
        try:
            async with table.lock:
                table.forget()
                state = await self._workers.run(
                    ensure_table, self._catalog, name, default, definition, self._max_columns
                )
                table.remember(state)
            return await self._workers.run(describe, state, name)
        except Exception as error:
            raise as_lakegate_error(error, name) from error

    async def describe(self, name: TableName) -> TableDescription:
        """Read the table from the catalog. Raises `LakegateError` (table_not_found)."""
        try:
            return await self._workers.run(load_description, self._catalog, name)
        except Exception as error:
            raise as_lakegate_error(error, name) from error

    async def list_tables(
        self, database: str, page_size: int, page_token: str = ""
    ) -> tuple[list[str], str]:
        """Return up to `page_size` names of tables, ascending, and the token of the next page.

        The token is empty on the last page. A missing database has no tables.
        """
        try:
            identifiers = await self._workers.run(self._catalog.list_tables, (database,))
        except NoSuchNamespaceError:
            return [], ""
        except Exception as error:
            raise as_lakegate_error(error, TableName(database, "")) from error
        names = sorted(name for *_, name in identifiers if name > page_token)
        page = names[:page_size]
        return page, page[-1] if len(names) > len(page) else ""

    async def close(self) -> None:
        """Refuse new batches, answer those accepted, and close the catalog and the ledger."""
        self._closed = True
        await self._maintenance.stop()
        await self._ledger_expiry.periodic.stop()
        await asyncio.gather(*(committer.drain() for committer in self._committers.values()))
        self._workers.close()
        self._catalog.close()
        self._ledger.close()

    def _committer(self, name: TableName) -> TableCommitter:
        committer = self._committers.get(name)
        if committer is None:
            self._drop_idle()
            table = CachedTable(self._catalog, name, self._workers, self._table_limit)
            committer = self._committers[name] = TableCommitter(table, self._policy, self._ledger)
        self._committers.move_to_end(name)
        return committer

    def _drop_idle(self) -> None:
        """Remove the table that was idle for the longest time, if there are many."""
        if len(self._committers) < IDLE_TABLES:
            return
        longest = next((name for name, each in self._committers.items() if each.idle), None)
        if longest is not None:
            del self._committers[longest]
