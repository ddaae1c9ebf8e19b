"""Maintenance of the tables that this process writes to, in the background of ingest."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

from pyiceberg.catalog import Catalog

from lakegate import clock
from lakegate.concurrency.periodic import Periodic
from lakegate.lake.commit.committer import TableCommitter
from lakegate.lake.failures import TableMissingError, TableReplacedError
from lakegate.lake.maintenance.maintain import Maintenance, Progress, Summary
from lakegate.lake.maintenance.managed import UnmanagedTableError
from lakegate.lake.maintenance.plan import FAN_IN, SmallFiles
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.cached_table import CachedTable
from lakegate.model import TableName

log = logging.getLogger(__name__)

# The maintenance thread runs at a lower priority than ingest.
NICENESS = 10


class _StoppedError(Exception):
    """The server stops before the next step of the maintenance of a table."""


@dataclass(slots=True)
class _TableProgress:
    """The maintenance of one table so far.

    `compacted_at`: the number of its commits at the last compaction. `swept_at`: the time of the
    last sweep, or of the first check of the table, on the monotonic clock.
    """

    compacted_at: int = 0
    swept_at: float = field(default_factory=clock.monotonic)
    small_files: SmallFiles = field(default_factory=SmallFiles)


class BackgroundMaintenance:
    """Compacts and sweeps tables, one at a time, in a thread of its own."""

    def __init__(
        self,
        catalog: Catalog,
        policy: MaintenancePolicy,
        interval_seconds: float,
        committers: Callable[[], Iterable[TableCommitter]],
    ) -> None:
        """Check the tables of `committers` every `interval_seconds`."""
        self._maintenance = Maintenance(catalog, policy, self._check_stopping)
        self._stopping = threading.Event()
        self._policy = policy
        self._committers = committers
        self._progress: WeakKeyDictionary[TableCommitter, _TableProgress] = WeakKeyDictionary()
        self._thread = ThreadPoolExecutor(1, "maintenance", initializer=_lower_priority)
        self._checks = Periodic(interval_seconds, self.check)

    def start(self) -> None:
        """Start the checks on the running event loop. Later calls do nothing."""
        self._checks.start()

    async def stop(self) -> None:
        """Stop the checks, and wait for the step in progress: the merge of a few files, a sweep."""
        self._stopping.set()
        await self._checks.stop()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def check(self) -> None:
        """Maintain each table that needs it."""
        loop = asyncio.get_running_loop()
        for committer in list(self._committers()):
            table = committer.table
            progress = self._progress.setdefault(committer, _TableProgress())
            if committer.commits - progress.compacted_at >= FAN_IN:
                progress.compacted_at = committer.commits
                await loop.run_in_executor(self._thread, self._compact, table, progress, loop)
            if clock.monotonic() - progress.swept_at > self._policy.grace_periods.own:
                progress.swept_at = clock.monotonic()
                await loop.run_in_executor(self._thread, self._clean_up, table, loop)

    def _check_stopping(self, _: Progress) -> None:
        if self._stopping.is_set():
            raise _StoppedError

    def _compact(
        self, table: CachedTable, progress: _TableProgress, loop: asyncio.AbstractEventLoop
    ) -> None:
        with self._failures_logged(table.name), self._results_logged(table.name):
            self._maintenance.compact(
                table.name,
                commit_lock=lambda: _commit_lock(table, loop),
                small_files=progress.small_files,
                everything=False,
            )

    def _clean_up(self, table: CachedTable, loop: asyncio.AbstractEventLoop) -> None:
        with self._failures_logged(table.name), self._results_logged(table.name):
            self._maintenance.expire(table.name)
            self._maintenance.sweep(table.name, commit_lock=lambda: _commit_lock(table, loop))

    @contextlib.contextmanager
    def _results_logged(self, name: TableName) -> Iterator[None]:
        """Log what the block did to a table, as one line, if it did anything."""
        before = replace(self._maintenance.summary)
        try:
            yield
        finally:
            done = self._maintenance.summary.since(before)
            if done != Summary():
                log.info("%s: maintenance: %s", name, done)

    @contextlib.contextmanager
    def _failures_logged(self, name: TableName) -> Iterator[None]:
        try:
            yield
        except UnmanagedTableError:
            pass  # not Lakegate's to maintain
        except _StoppedError:
            log.info("Maintenance of %s is not finished: the server stops", name)
        except (TableMissingError, TableReplacedError):
            log.info("%s was dropped during its maintenance", name)
        except Exception:
            log.exception("Maintenance of %s failed; it is retried later", name)


@contextlib.contextmanager
def _commit_lock(table: CachedTable, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Hold the table's lock from this thread, and discard its cached state at the end."""
    asyncio.run_coroutine_threadsafe(table.lock.acquire(), loop).result()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(table.forget)
        loop.call_soon_threadsafe(table.lock.release)


def _lower_priority() -> None:
    with contextlib.suppress(OSError, AttributeError):  # threads have no priority on this system
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
