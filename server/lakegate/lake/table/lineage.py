"""The ancestors of the current snapshot."""

from collections.abc import Iterator

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot


def lineage(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield the current snapshot and those of its ancestors that have not expired, newest first.

    Linear in the number of snapshots; PyIceberg's `ancestors_of` is quadratic.
    """
    by_id = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    following = metadata.current_snapshot_id
    while following is not None and (snapshot := by_id.pop(following, None)) is not None:
        yield snapshot
        following = snapshot.parent_snapshot_id
