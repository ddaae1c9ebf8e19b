"""The fence: why a commit never references a file that a sweep has deleted, however slow it is.

Before a sweep deletes files it commits a *fence*: one commit that moves `main` to a new snapshot
of the same rows, and sets the table property `lakegate.fence` to the id of that snapshot, a value
that no other fence ever has.
A file F is deleted only if, in this order,

1. a listing had F,
2. a fence X was committed,
3. the metadata was read again and does not reference F.

A commit references F only if it began F, or if its base (the metadata it was made from) does.
Each commit to `main` is guarded by its base: it succeeds only if `main` is still at the snapshot
of the base (`assert-ref-snapshot-id`; in a SQL catalog the location of the metadata). Each commit
also compares the fence of its base with the fence in the metadata that was read before its first
file was begun, and fails if they differ (`check_fence`). So for a commit that began F:

- if its base was read before X, the guard fails, since X has moved `main`;
- if its base was read after X, the comparison fails, since F was begun before (1), under another
  fence than X.

Another writer may unset the property. If neither has a fence, equality proves nothing: the commit
fails too, unless the base has each snapshot since the one that F was begun on, and none is a fence
(a fence is marked in its summary, and a snapshot never changes).

Files that are written after the base was read (manifest list, merged manifests, metadata file)
need no comparison: with a base older than X the guard fails, with a newer one F is newer than (1).
A commit whose base references F succeeded after (3), or F would be referenced there; its base then
was current after (3), and by induction over the commits after (3) none is the first to reference F.

The proof uses no clock: processes may be suspended, calls may hang, clocks may be wrong. The grace
before files are deleted is for readers and for other engines.
It assumes that nobody sets `main` back to a snapshot from before the fence (a rollback) while a
commit based on that same snapshot is in progress, and that nobody sets the property by hand.
"""

from dataclasses import dataclass

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from lakegate.lake.failures import FilesTooOldError
from lakegate.lake.table.lineage import lineage

FENCE = "lakegate.fence"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The table before the first of some files was begun: its fence, and its current snapshot."""

    fence: str
    snapshot_id: int | None

    @classmethod
    def of(cls, metadata: TableMetadata) -> "Baseline":
        """Return the baseline of files that are written for a table with this metadata."""
        return cls(fence_of(metadata), metadata.current_snapshot_id)


def fence_of(metadata: TableMetadata) -> str:
    """Return the table's latest fence; empty if it has none."""
    return metadata.properties.get(FENCE, "")


def is_fence(snapshot: Snapshot | None) -> bool:
    """Return whether a snapshot is a fence."""
    summary = snapshot.summary if snapshot is not None else None
    return summary is not None and FENCE in summary.additional_properties


def check_fence(base: TableMetadata, baseline: Baseline) -> None:
    """Raise `FilesTooOldError` unless files begun on `baseline` may be committed to `base`."""
    fence = fence_of(base)
    if fence != baseline.fence or (not fence and not _shows_no_fence(base, baseline.snapshot_id)):
        raise FilesTooOldError


def _shows_no_fence(base: TableMetadata, since: int | None) -> bool:
    """Whether the base has each snapshot after `since`, and none is a fence."""
    reached = base.current_snapshot_id
    for snapshot in lineage(base):
        if reached == since:
            break
        if is_fence(snapshot):
            return False
        reached = snapshot.parent_snapshot_id
    return reached == since
