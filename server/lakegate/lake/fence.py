"""The fence: why a commit never names a file that a sweep has deleted, however long it stalled.

Before a sweep deletes files it puts up a *fence*: one commit that moves `main` to a new snapshot
of the same rows, and sets the table property `lakegate.fence` to the next higher number.
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

What is written after the base was read (manifest list, merged manifests, metadata file) needs no
comparison: with a base older than X the guard fails, with a younger one F is younger than (1).
A commit whose base references F came through after (3), or it would show there; its base then was
current after (3), and by induction over the commits after (3) none is the first to reference F.

No clock is in this: processes may be suspended, calls may hang, clocks may be wrong. How long
files stay before they are deleted is for those who read them, and for other engines.
It rests on one thing: that nobody sets `main` back to a snapshot from before the fence (a
rollback) while a commit based on that very snapshot is still under way.
"""

from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.failures import FilesTooOldError

FENCE = "lakegate.fence"


def fence_of(metadata: TableMetadata) -> int:
    """Return the number of the table's latest fence, 0 where there is none."""
    number = metadata.properties.get(FENCE, "")
    return int(number) if number.isdecimal() else 0


def check_fence(base: TableMetadata, begun_under: int) -> None:
    """Raise `FilesTooOldError` where files begun under a fence may not be committed to `base`."""
    if fence_of(base) != begun_under:
        raise FilesTooOldError
