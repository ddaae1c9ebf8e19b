"""The fence: why a commit never names a file that a sweep has deleted, however long it stalled.

Before a sweep deletes files it puts up a *fence*: one commit that moves `main` to a new snapshot
of the same rows, and sets the table property `lakegate.fence` to the id of that snapshot, a value
that no other fence ever has.
A file F is deleted only if, in this order,

1. a listing had F,
2. a fence X was committed,
3. the metadata was read again and does not reference F.

A commit names F only if it began F, or if its base (the metadata it was made from) references F.
Each commit to `main` is guarded by its base: it comes through only if `main` is still where the
base says (`assert-ref-snapshot-id`; in a SQL catalog the location of the metadata). And each
compares the fence of its base with the one in the metadata that was read before its first file
was begun, and gives up its files where they differ (`check_fence`). So of a commit that began F,

- if its base was read before X: the guard fails, for X has moved `main`;
- if its base was read after X: F was begun before (1), under another fence than X. It gives up.

Somebody may unset the property. Where neither has a fence, equality proves nothing: the commit
gives up too, unless the base shows each snapshot since the one that F was begun on, and none is a
fence (the summary of a fence says what it is, and a snapshot never changes).

What is written after the base was read (manifest list, merged manifests, metadata file) needs no
comparison: with a base older than X the guard fails, with a younger one F is younger than (1).
A commit whose base references F came through after (3), or it would show there; its base then was
current after (3), and by induction over the commits after (3) none is the first to reference F.

No clock is in this: processes may be suspended, calls may hang, clocks may be wrong. How long
files stay before they are deleted is for those who read them, and for other engines.
It rests on two things: that nobody sets `main` back to a snapshot from before the fence (a
rollback) while a commit based on that very snapshot is still under way, and that nobody sets the
property by hand.
"""

from dataclasses import dataclass

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from lakegate.lake.failures import FilesTooOldError
from lakegate.lake.table.lineage import lineage

FENCE = "lakegate.fence"


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where a table stood before the first of some files was begun.

    `fence`: its fence. `snapshot_id`: its current snapshot.
    """

    fence: str
    snapshot_id: int | None

    @classmethod
    def of(cls, metadata: TableMetadata) -> "Baseline":
        """Return where the table stands."""
        return cls(fence_of(metadata), metadata.current_snapshot_id)


def fence_of(metadata: TableMetadata) -> str:
    """Return the table's latest fence, empty where none is known."""
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
