"""Compaction: merges small data files, as an Iceberg `replace` operation.

The rows of the table do not change, so readers and writers continue. Concurrent appends are kept;
the commit fails only if a merged file is no longer in the table (Iceberg table spec, "Snapshots",
operation `replace`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile
from pyiceberg.table.sorting import SortDirection
from pyiceberg.transforms import IdentityTransform

from lakegate.concurrency.retry import MAINTENANCE_COMMIT
from lakegate.lake.failures import FilesTooOldError, TableChangedError
from lakegate.lake.files.data_files import total_size, write_data_files
from lakegate.lake.maintenance.managed import CommitLock, ManagedTable
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.maintenance.reading import read_data_files
from lakegate.lake.maintenance.rewrite import Rewrite, new_rewrite
from lakegate.lake.table.state import TableState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompactionResult:
    """The number of files before and after rewrites, and their sizes in bytes."""

    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def __add__(self, other: "CompactionResult") -> "CompactionResult":
        """Return the sum."""
        return CompactionResult(
            self.files_before + other.files_before,
            self.files_after + other.files_after,
            self.bytes_before + other.bytes_before,
            self.bytes_after + other.bytes_after,
        )


@dataclass(frozen=True, slots=True)
class Compaction:
    """Merges files of one table. Its methods block.

    `commit_lock` is held for the commit of each rewrite, so that this process commits nothing else
    to the table. Rows that take more than `max_bytes` in memory are written to several files.
    """

    catalog: Catalog
    policy: MaintenancePolicy
    commit_lock: CommitLock
    max_bytes: int

    def merge(self, table: ManagedTable, files: Sequence[DataFile]) -> CompactionResult:
        """Merge `files`, which are all of one partition."""
        done = CompactionResult()
        while len(files) > 1:
            rows, read = read_data_files(table.state, files, self.max_bytes)
            files = files[len(read) :]
            if len(read) > 1:
                done += self._replace(table, read, rows)
                table = table.reload(self.catalog)
        return done

    def _replace(
        self, table: ManagedTable, files: Sequence[DataFile], rows: pa.Table
    ) -> CompactionResult:
        """Replace `files` by one with their `rows`. Do nothing if each attempt meets a conflict."""
        state = table.state
        added = write_data_files(state, _sorted(rows, state, self.policy.sort_column))
        rewrite = new_rewrite(state, files, added)
        for _ in MAINTENANCE_COMMIT.attempts():
            try:
                rewrite.prepare(table.reload(self.catalog).state)
                with self.commit_lock():
                    rewrite.commit(table.reload(self.catalog).state)
                return _compacted(rewrite)
            except CommitFailedException:
                pass
            except (FilesTooOldError, TableChangedError):
                break
        log.info(
            "%s: %d files are not merged: conflicts with other writers",
            table.name,
            len(files),
        )
        return CompactionResult()


def _compacted(rewrite: Rewrite) -> CompactionResult:
    return CompactionResult(
        files_before=len(rewrite.removed),
        files_after=len(rewrite.added),
        bytes_before=total_size(rewrite.removed),
        bytes_after=total_size(rewrite.added),
    )


def _sorted(rows: pa.Table, state: TableState, default: str) -> pa.Table:
    """Sort by the identity fields of the table's sort order, or else by the default column."""
    schema = state.metadata.schema()
    keys = [
        (column, "ascending" if field.direction is SortDirection.ASC else "descending")
        for field in state.metadata.sort_order().fields
        if isinstance(field.transform, IdentityTransform)
        and (column := schema.find_column_name(field.source_id)) in rows.column_names
    ]
    if not keys and default in rows.column_names:
        keys = [(default, "ascending")]
    return rows.sort_by(keys) if keys else rows
