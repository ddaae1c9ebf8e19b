"""The sweep: deletes files that no snapshot has referenced for a grace period.

A sweep marks the files that it finds unreferenced. A later one deletes those that were marked for
the grace period and are still unreferenced. The age of a file does not matter: a reader may have
planned with it just before it was replaced.

Files with Lakegate's names are deleted after a fence (`lakegate.lake.commit.fence`), so that no
later commit references them. A file with another name may belong to a running job of another
engine, which does not know of fences; for these the grace period is the only protection, as in
Iceberg's own `remove_orphan_files`. Metadata files that clients write are among them. Metadata
files that the catalog writes (REST) are not deleted.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog, MetastoreCatalog

from lakegate import clock
from lakegate.lake.commit.fence import fence_of
from lakegate.lake.files.names import OWN_PREFIX, delete_files
from lakegate.lake.maintenance.fencing import commit_fence, is_at_fence
from lakegate.lake.maintenance.listing import TableFiles
from lakegate.lake.maintenance.managed import CommitLock, ManagedTable
from lakegate.lake.maintenance.marks import MARKS, read_marks, update_marks, write_marks
from lakegate.lake.maintenance.policy import GracePeriods
from lakegate.lake.maintenance.references import References

_OWN = f"(^|/){OWN_PREFIX}[^/]*$"
# Iceberg's own clean-up keeps these too; `_column=value` is the path of a partition.
_HIDDEN = r"(^|/)[._][^/=]*(/|$)"
_VERSION_HINT = "metadata/version-hint.text"
_METADATA_FILE = r"\.metadata\.json$"
# The unreferenced files that a fence leaves: its manifest list, and metadata files.
_OF_FENCES = r"\.(avro|metadata\.json)$"


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The number of deleted files, and their size in bytes.

    `waiting`: the number of unreferenced files that are still within their grace period.
    """

    files: int = 0
    bytes: int = 0
    waiting: int = 0


def sweep(
    catalog: Catalog,
    table: ManagedTable,
    location: str,
    grace_periods: GracePeriods,
    commit_lock: CommitLock,
) -> SweepResult:
    """Delete the orphan files at `location`, the exclusive location of the table. Blocks.

    `commit_lock` is held while a fence is committed.
    """
    return _Sweep(catalog, table, location, grace_periods, commit_lock).run()


class _Sweep:
    def __init__(
        self,
        catalog: Catalog,
        table: ManagedTable,
        location: str,
        grace_periods: GracePeriods,
        commit_lock: CommitLock,
    ) -> None:
        self._catalog = catalog
        self._table = table
        self._graces = grace_periods
        self._commit_lock = commit_lock
        self._files = TableFiles(table.state, location)
        self._references = References()

    def run(self) -> SweepResult:
        files, now_ms = self._files, clock.now_ms()
        listed = self._candidates()
        before = read_marks(files.filesystem, files.root)
        unreferenced = self._unreferenced(listed)
        marks = update_marks(before, unreferenced, fence_of(self._table.metadata), now_ms)
        due = self._due(marks, now_ms)
        if due.num_rows:
            due = self._unreferenced(self._fenced(due))
        deleted = self._delete(due)
        marks = _without(marks, due["path"])
        if not marks.select(before.column_names).equals(before):
            write_marks(files.filesystem, files.root, marks)
        return SweepResult(deleted, pc.sum(due["size"]).as_py() or 0, marks.num_rows)

    def _candidates(self) -> pa.Table:
        """Return the files that may be orphans."""
        listed = self._files.listed()
        path = listed["path"]
        own = pc.match_substring_regex(path, _OWN)
        kept = pc.is_in(path, pa.array([MARKS, _VERSION_HINT]))
        if not isinstance(self._catalog, MetastoreCatalog):
            kept = pc.or_(kept, pc.match_substring_regex(path, _METADATA_FILE))
        hidden = pc.and_not(pc.match_substring_regex(path, _HIDDEN), own)
        return listed.append_column("own", own).filter(pc.invert(pc.or_(kept, hidden)))

    def _unreferenced(self, files: pa.Table) -> pa.Table:
        """Read the table again, and return the files that it does not reference."""
        self._table = self._table.reload(self._catalog)
        names = map(self._files.relative, self._references.of(self._table.state))
        return _without(files, pa.array(set(names), pa.string()))

    def _due(self, marks: pa.Table, now_ms: int) -> pa.Table:
        """Return the files that are past their grace period."""
        grace = pc.if_else(marks["own"], self._graces.own, self._graces.foreign)
        age = pc.divide(pc.subtract(now_ms, marks["since"]), 1000.0)
        return marks.filter(pc.greater_equal(age, grace))

    def _fenced(self, due: pa.Table) -> pa.Table:
        """Return the files that were found before the latest fence; commit a fence if needed.

        If the current snapshot is a fence, another one is committed only for data files: a fence
        leaves unreferenced metadata files itself, so an idle table would get endless fences.
        """
        metadata = self._table.metadata
        fence = fence_of(metadata)
        fenced = due.filter(pc.and_(pc.not_equal(due["fence"], fence), bool(fence)))
        if fenced.num_rows == due.num_rows or metadata.current_snapshot_id is None:
            return fenced
        if (
            is_at_fence(metadata)
            and pc.all(pc.match_substring_regex(due["path"], _OF_FENCES)).as_py()
        ):
            return fenced
        return due if commit_fence(self._catalog, self._table, self._commit_lock) else fenced

    def _delete(self, files: pa.Table) -> int:
        locations = map(self._files.uri, files["path"].to_pylist())
        return delete_files(self._table.state.io, locations)


def _without(files: pa.Table, paths: pa.Array | pa.ChunkedArray) -> pa.Table:
    return files.filter(pc.invert(pc.is_in(files["path"], _flat(paths))))


def _flat(paths: pa.Array | pa.ChunkedArray) -> pa.Array:
    return paths.combine_chunks() if isinstance(paths, pa.ChunkedArray) else paths
