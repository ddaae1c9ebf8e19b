"""Maintenance beside ingest: the tables this process writes to are kept in order by it."""

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from pyiceberg.catalog import Catalog

from lakegate import clock
from lakegate.concurrency.periodic import Periodic
from lakegate.lake.commit.committer import TableCommitter
from lakegate.lake.failures import TableMissingError, TableReplacedError
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.managed import UnmanagedTableError
from lakegate.lake.maintenance.plan import FAN_IN, SmallFiles
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.warm import WarmTable
from lakegate.model import TableName

log = logging.getLogger(__name__)

# Ingest goes first: the thread of maintenance yields the processor to all others.
NICENESS = 10


@dataclass(slots=True)
class _Known:
    """What is known of a table for as long as it is warm.

    `compacted_at`: how many commits it had had; `swept_at`: on the monotonic
    clock, the first look at it counts.
    """

    compacted_at: int = 0
    swept_at: float = field(default_factory=clock.monotonic)
    small_files: SmallFiles = field(default_factory=SmallFiles)


class BackgroundMaintenance:
    """Compacts and sweeps tables, one at a time, while the event loop does other things."""

    def __init__(
        self,
        catalog: Catalog,
        policy: MaintenancePolicy,
        interval_seconds: float,
        committers: Callable[[], Iterable[TableCommitter]],
    ) -> None:
        """Look every `interval_seconds` at the tables that `committers` write to."""
        self._maintenance = Maintenance(catalog, policy)
        self._policy = policy
        self._committers = committers
        self._known: WeakKeyDictionary[TableCommitter, _Known] = WeakKeyDictionary()
        self._thread = ThreadPoolExecutor(1, "maintenance", initializer=_be_nice)
        self._looks = Periodic(interval_seconds, self.look)

    def start(self) -> None:
        """Begin, on the running event loop; later calls do nothing."""
        self._looks.start()

    async def stop(self) -> None:
        """End; what is under way is finished."""
        await self._looks.stop()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def look(self) -> None:
        """Maintain each table that needs it."""
        loop = asyncio.get_running_loop()
        for committer in list(self._committers()):
            table = committer.table
            known = self._known.setdefault(committer, _Known())
            if committer.commits - known.compacted_at >= FAN_IN:
                known.compacted_at = committer.commits
                await loop.run_in_executor(self._thread, self._compact, table, known, loop)
            if clock.monotonic() - known.swept_at > self._policy.graces.own:
                known.swept_at = clock.monotonic()
                await loop.run_in_executor(self._thread, self._clean_up, table, loop)

    def _compact(self, table: WarmTable, known: _Known, loop: asyncio.AbstractEventLoop) -> None:
        with self._failures_logged(table.name):
            self._maintenance.compact(
                table.name,
                alone=lambda: _held(table, loop),
                small_files=known.small_files,
                everything=False,
            )

    def _clean_up(self, table: WarmTable, loop: asyncio.AbstractEventLoop) -> None:
        with self._failures_logged(table.name):
            self._maintenance.expire(table.name)
            self._maintenance.sweep(table.name, alone=lambda: _held(table, loop))

    @contextlib.contextmanager
    def _failures_logged(self, name: TableName) -> Iterator[None]:
        try:
            yield
        except UnmanagedTableError:
            pass  # its owner keeps it in order
        except (TableMissingError, TableReplacedError):
            log.info("%s was dropped during its maintenance", name)
        except Exception:
            log.exception("Maintenance of %s failed; it is tried again later", name)


@contextlib.contextmanager
def _held(table: WarmTable, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Hold the table's lock from this thread; what it was kept warm with is stale after."""
    asyncio.run_coroutine_threadsafe(table.lock.acquire(), loop).result()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(table.forget)
        loop.call_soon_threadsafe(table.lock.release)


def _be_nice() -> None:
    with contextlib.suppress(OSError, AttributeError):  # where threads have no priority
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
