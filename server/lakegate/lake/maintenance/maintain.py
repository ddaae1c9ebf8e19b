"""Maintenance of tables: compaction, expiry and the sweep, one after the other."""

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from lakegate.lake.maintenance.compaction import Compacted, Compaction
from lakegate.lake.maintenance.expiry import expire
from lakegate.lake.maintenance.managed import Alone, UnmanagedTableError, load_managed
from lakegate.lake.maintenance.plan import SmallFiles, plan
from lakegate.lake.maintenance.policy import MaintenancePolicy, target_bytes
from lakegate.lake.maintenance.sweep import Swept, sweep
from lakegate.lake.table.folder import own_folder
from lakegate.lake.table.ownership import may_collect_garbage
from lakegate.model import TableName

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Summary:
    """What maintenance did, summed over tables. Sizes in bytes.

    `failed`: the tables that could not be maintained; the log says why.
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

    def add_compacted(self, compacted: Compacted) -> None:
        """Count rewrites."""
        self.files_merged += compacted.files_before
        self.files_written += compacted.files_after
        self.bytes_merged += compacted.bytes_before
        self.bytes_written += compacted.bytes_after

    def add_swept(self, swept: Swept) -> None:
        """Count one sweep."""
        self.orphans_deleted += swept.files
        self.orphan_bytes += swept.bytes
        self.orphans_waiting += swept.waiting


# Files take so many times their size in memory, as a rule; where rows compress better than
# that, fewer files are merged at once.
IN_MEMORY = 4


@dataclass(frozen=True, slots=True)
class Progress:
    """How far maintenance is: `done` of `total` steps of `step` at `table`."""

    table: TableName
    step: str
    done: int
    total: int


Report = Callable[[Progress], None]


class Maintenance:
    """Maintains the tables of a catalog. Its methods block.

    Those of one table raise `UnmanagedTableError` where it is not Lakegate's to maintain.
    """

    def __init__(
        self, catalog: Catalog, policy: MaintenancePolicy, report: Report = lambda _: None
    ) -> None:
        """Maintain as `policy` says; `report` is told of every step."""
        self.summary = Summary()
        self._catalog = catalog
        self._policy = policy
        self._report = report

    def run(self) -> Summary:
        """Maintain every table that Lakegate manages, once and thoroughly.

        One that fails is counted and logged, and does not stop the others. Where the
        catalog fails, what it says is raised.
        """
        for name in all_tables(self._catalog):
            try:
                self._maintain(name)
            except (UnmanagedTableError, TableMissingError, TableReplacedError):
                continue  # its owner's, or dropped while we were at it
            except CATALOG_FAILURES:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one table
                log.warning("%s cannot be maintained: %s", name, described(error))
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
        alone: Alone = contextlib.nullcontext,
        small_files: SmallFiles | None = None,
    ) -> None:
        """Merge small files; see `plan` for which, and `Compaction` for `alone`."""
        table = load_managed(self._catalog, name)
        target = target_bytes(table.metadata)
        if not everything:
            target = min(target, self._policy.background_bytes)
        groups = plan(table.state, small_files or SmallFiles(), target, everything=everything)
        compaction = Compaction(self._catalog, self._policy, alone, IN_MEMORY * target)
        for done, files in enumerate(groups):
            self._report(Progress(name, "compact", done, len(groups)))
            table = table.reload(self._catalog)
            self.summary.add_compacted(compaction.merge(table, files))
        self._report(Progress(name, "compact", len(groups), len(groups)))

    def expire(self, name: TableName) -> None:
        """Expire snapshots; where a commit is faster, that has done it."""
        try:
            expired = self._expire(name)
        except CommitFailedException as error:
            log.info("%s: snapshots are not expired now: %s", name, error)
        else:
            self.summary.snapshots_expired += expired

    def _expire(self, name: TableName) -> int:
        table, retention = load_managed(self._catalog, name), self._policy.retention
        if self._policy.ledger_url is None:
            return expire(table, retention, lambda _, past: list(past))
        with contextlib.closing(Ledger(self._policy.ledger_url)) as ledger:
            return expire(table, retention, PendingSnapshots(ledger, name).removable)

    def sweep(self, name: TableName, *, alone: Alone = contextlib.nullcontext) -> None:
        """Delete orphans in the table's own folder, if the table allows that files are deleted."""
        self._report(Progress(name, "sweep", 0, 1))
        table = load_managed(self._catalog, name)
        folder = own_folder(self._catalog, table.metadata)
        if folder is None:
            _log_unswept(table.state.uuid, name)
        elif may_collect_garbage(table.metadata):
            self.summary.add_swept(sweep(self._catalog, table, folder, self._policy.graces, alone))
        self._report(Progress(name, "sweep", 1, 1))


@cache
def _log_unswept(table: uuid.UUID, name: TableName) -> None:
    """Log once for each table that it is not swept."""
    log.info("%s (%s) is not swept: no folder is known to be its alone", name, table)


def all_tables(catalog: Catalog) -> Iterator[TableName]:
    """Name every table of the catalog."""
    for namespace in catalog.list_namespaces():
        for *_, table in catalog.list_tables(namespace):
            yield TableName(".".join(namespace), table)
