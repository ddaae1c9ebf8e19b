"""The sweep: files that no snapshot references are deleted when they have been so for a time.

A sweep marks the files that it finds unreferenced; a later one deletes those that have been marked
for the grace period and still are unreferenced. How old a file is does not matter: a reader may
have planned with it a moment before it was replaced.

Files that Lakegate named are deleted behind a fence (`lakegate.lake.commit.fence`): no commit can
name them any more. A file of another name may belong to a job of another engine that is about to
commit it, and that knows nothing of fences; nothing but time helps there, as in Iceberg's own
`remove_orphan_files`. Metadata files count among these, where clients write them. Where the
catalog writes them (REST) they are the catalog's own to delete.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog, MetastoreCatalog

from lakegate import clock
from lakegate.lake.commit.fence import fence_of
from lakegate.lake.files.names import OWN_PREFIX, delete_files
from lakegate.lake.maintenance.fencing import is_at_fence, put_fence
from lakegate.lake.maintenance.managed import Alone, ManagedTable
from lakegate.lake.maintenance.marks import MARKS, marked, read_marks, write_marks
from lakegate.lake.maintenance.policy import Graces
from lakegate.lake.maintenance.references import References
from lakegate.lake.maintenance.storage import TableFolder

_OWN = f"(^|/){OWN_PREFIX}[^/]*$"
# Iceberg's own clean-up spares these too; `_column=value` is the folder of a partition.
_HIDDEN = r"(^|/)[._][^/=]*(/|$)"
_VERSION_HINT = "metadata/version-hint.text"
_METADATA_FILE = r"\.metadata\.json$"
# What a fence leaves behind: its manifest list, and metadata files.
_OF_FENCES = r"\.(avro|metadata\.json)$"


@dataclass(frozen=True, slots=True)
class Swept:
    """How many orphans were deleted, and their size in bytes.

    `waiting`: how many stay for now.
    """

    files: int = 0
    bytes: int = 0
    waiting: int = 0


def sweep(
    catalog: Catalog, table: ManagedTable, folder: str, graces: Graces, alone: Alone
) -> Swept:
    """Delete the orphans in `folder`, which belongs to the table alone. Blocks.

    `alone` holds off the commits of this process for a moment, where a fence is needed.
    """
    return _Sweep(catalog, table, folder, graces, alone).run()


class _Sweep:
    def __init__(
        self, catalog: Catalog, table: ManagedTable, folder: str, graces: Graces, alone: Alone
    ) -> None:
        self._catalog = catalog
        self._table = table
        self._graces = graces
        self._alone = alone
        self._folder = TableFolder(table.state, folder)
        self._references = References()

    def run(self) -> Swept:
        folder, now_ms = self._folder, clock.now_ms()
        listed = self._candidates()
        before = read_marks(folder.files, folder.root)
        unreferenced = self._unreferenced(listed)
        marks = marked(before, unreferenced, fence_of(self._table.metadata), now_ms)
        due = self._due(marks, now_ms)
        if due.num_rows:
            due = self._unreferenced(self._fenced(due))
        deleted = self._delete(due)
        marks = _without(marks, due["path"])
        if not marks.select(before.column_names).equals(before):
            write_marks(folder.files, folder.root, marks)
        return Swept(deleted, pc.sum(due["size"]).as_py() or 0, marks.num_rows)

    def _candidates(self) -> pa.Table:
        """List the files that could be orphans."""
        listed = self._folder.listed()
        path = listed["path"]
        own = pc.match_substring_regex(path, _OWN)
        spared = pc.is_in(path, pa.array([MARKS, _VERSION_HINT]))
        if not isinstance(self._catalog, MetastoreCatalog):
            spared = pc.or_(spared, pc.match_substring_regex(path, _METADATA_FILE))
        hidden = pc.and_not(pc.match_substring_regex(path, _HIDDEN), own)
        return listed.append_column("own", own).filter(pc.invert(pc.or_(spared, hidden)))

    def _unreferenced(self, files: pa.Table) -> pa.Table:
        """Read the table again, and leave out the files that it references."""
        self._table = self._table.reload(self._catalog)
        names = map(self._folder.relative, self._references.of(self._table.state))
        return _without(files, pa.array(set(names), pa.string()))

    def _due(self, marks: pa.Table, now_ms: int) -> pa.Table:
        """Choose the files that have been unreferenced for long enough."""
        grace = pc.if_else(marks["own"], self._graces.own, self._graces.foreign)
        age = pc.divide(pc.subtract(now_ms, marks["since"]), 1000.0)
        return marks.filter(pc.greater_equal(age, grace))

    def _fenced(self, due: pa.Table) -> pa.Table:
        """Choose the files that a fence came after, if need be a new one.

        A fence right after another is put up for data files alone: each leaves metadata to be
        swept, and an idle table would have one after the other for ever.
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
        return due if put_fence(self._catalog, self._table, self._alone) else fenced

    def _delete(self, files: pa.Table) -> int:
        locations = map(self._folder.uri, files["path"].to_pylist())
        return delete_files(self._table.state.io, locations)


def _without(files: pa.Table, paths: pa.Array | pa.ChunkedArray) -> pa.Table:
    return files.filter(pc.invert(pc.is_in(files["path"], _flat(paths))))


def _flat(paths: pa.Array | pa.ChunkedArray) -> pa.Array:
    return paths.combine_chunks() if isinstance(paths, pa.ChunkedArray) else paths
