"""Maintenance of tables: compaction, expiry and the sweep for orphan files."""

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException

from lakegate.lake.failures import (
    CATALOG_FAILURES,
    TableMissingError,
    TableReplacedError,
    described,
)
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.ledger.pending_snapshots import PendingSnapshots
from lakegate.lake.maintenance.compaction import Compaction, CompactionResult
from lakegate.lake.maintenance.expiry import expire
from lakegate.lake.maintenance.managed import CommitLock, UnmanagedTableError, load_managed
from lakegate.lake.maintenance.plan import SmallFiles, plan
from lakegate.lake.maintenance.policy import MaintenancePolicy, target_bytes
from lakegate.lake.maintenance.sweep import SweepResult, sweep
from lakegate.lake.table.location import exclusive_location
from lakegate.lake.table.ownership import may_collect_garbage
from lakegate.model import TableName

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Summary:
    """The results of maintenance, summed over tables. Sizes in bytes.

    `failed`: the number of tables whose maintenance failed; the log has the reasons.
    """

    tables: int = 0
    failed: int = 0
    files_merged: int = 0
    files_written: int = 0
    bytes_merged: int = 0
    bytes_written: int = 0
    snapshots_expired: int = 0
    orphans_deleted: int = 0
    orphan_bytes: int = 0
    orphans_waiting: int = 0

    def add_compacted(self, compacted: CompactionResult) -> None:
        """Add the result of a compaction."""
        self.files_merged += compacted.files_before
        self.files_written += compacted.files_after
        self.bytes_merged += compacted.bytes_before
        self.bytes_written += compacted.bytes_after

    def add_swept(self, swept: SweepResult) -> None:
        """Add the result of a sweep."""
        self.orphans_deleted += swept.files
        self.orphan_bytes += swept.bytes
        self.orphans_waiting += swept.waiting

    def since(self, before: "Summary") -> "Summary":
        """Return what was added since `before`, an earlier copy of this summary."""
        now, then = asdict(self), asdict(before)
        return Summary(**{name: now[name] - then[name] for name in now})

    def __str__(self) -> str:
        """Return the results as one line."""
        return (
            f"{self.files_merged} files ({self.bytes_merged} bytes) merged into "
            f"{self.files_written} ({self.bytes_written} bytes), "
            f"{self.snapshots_expired} snapshots expired, "
            f"{self.orphans_deleted} orphan files ({self.orphan_bytes} bytes) deleted, "
            f"{self.orphans_waiting} kept for now"
        )


# The assumed size of rows in memory, as a multiple of the size of their files. Of files that
# compress better, fewer are merged at once.
MEMORY_FACTOR = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of one step at one table: `done` of `total`."""

    table: TableName
    step: str
    done: int
    total: int


Report = Callable[[Progress], None]


class Maintenance:
    """Maintains the tables of a catalog. Its methods block.

    The methods for one table raise `UnmanagedTableError` if Lakegate does not maintain it.
    """

    def __init__(
        self, catalog: Catalog, policy: MaintenancePolicy, report: Report = lambda _: None
    ) -> None:
        """Maintain by `policy`; `report` is called with the progress of each step."""
        self.summary = Summary()
        self._catalog = catalog
        self._policy = policy
        self._report = report

    def run(self) -> Summary:
        """Run all steps for every managed table.

        A failure at one table is logged and counted. A failure of the catalog is raised.
        """
        for name in all_tables(self._catalog):
            try:
                self._maintain(name)
            except (UnmanagedTableError, TableMissingError, TableReplacedError):
                continue  # not managed, or dropped meanwhile
            except CATALOG_FAILURES:
                raise
            except Exception as error:  # noqa: BLE001 - one table must not stop the others
                log.warning("maintenance of %s failed: %s", name, described(error))
                self.summary.failed += 1
        return self.summary

    def _maintain(self, name: TableName) -> None:
        self.compact(name, everything=True)
        self.expire(name)
        self.sweep(name)
        self.summary.tables += 1

    def compact(
        self,
        name: TableName,
        *,
        everything: bool,
        commit_lock: CommitLock = contextlib.nullcontext,
        small_files: SmallFiles | None = None,
    ) -> None:
        """Merge small files: `plan` chooses them. `commit_lock`: see `Compaction`."""
        table = load_managed(self._catalog, name)
        target = target_bytes(table.metadata)
        if not everything:
            target = min(target, self._policy.background_bytes)
        groups = plan(table.state, small_files or SmallFiles(), target, everything=everything)
        compaction = Compaction(self._catalog, self._policy, commit_lock, MEMORY_FACTOR * target)
        for done, files in enumerate(groups):
            self._report(Progress(name, "compact", done, len(groups)))
            table = table.reload(self._catalog)
            self.summary.add_compacted(compaction.merge(table, files))
        self._report(Progress(name, "compact", len(groups), len(groups)))

    def expire(self, name: TableName) -> None:
        """Expire snapshots. A concurrent commit, which does the same, is no failure."""
        try:
            expired = self._expire(name)
        except CommitFailedException as error:
            log.info("%s: another commit came before the expiry of snapshots: %s", name, error)
        else:
            self.summary.snapshots_expired += expired

    def _expire(self, name: TableName) -> int:
        table, retention = load_managed(self._catalog, name), self._policy.retention
        if self._policy.ledger_url is None:
            return expire(table, retention, lambda _, past: list(past))
        with contextlib.closing(Ledger(self._policy.ledger_url)) as ledger:
            return expire(table, retention, PendingSnapshots(ledger, name).removable)

    def sweep(self, name: TableName, *, commit_lock: CommitLock = contextlib.nullcontext) -> None:
        """Delete orphan files in the table's exclusive location, unless `gc.enabled` is false."""
        self._report(Progress(name, "sweep", 0, 1))
        table = load_managed(self._catalog, name)
        location = exclusive_location(self._catalog, table.metadata)
        if location is None:
            _log_unswept(table.state.uuid, name)
        elif may_collect_garbage(table.metadata):
            self.summary.add_swept(
                sweep(self._catalog, table, location, self._policy.grace_periods, commit_lock)
            )
        self._report(Progress(name, "sweep", 1, 1))


@cache
def _log_unswept(table: uuid.UUID, name: TableName) -> None:
    """Log that a table is not swept, once for each table."""
    log.info("%s (%s) is not swept: it has no exclusive location", name, table)


def all_tables(catalog: Catalog) -> Iterator[TableName]:
    """Yield the name of every table in the catalog."""
    for namespace in catalog.list_namespaces():
        for *_, table in catalog.list_tables(namespace):
            yield TableName(".".join(namespace), table)
