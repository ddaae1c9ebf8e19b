"""The chain of snapshots that a table's current one came from."""

from collections.abc import Iterator

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot


def lineage(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Name the current snapshot and its ancestors, newest first, as far as the metadata has them.

    PyIceberg's `ancestors_of` looks through all snapshots for each.
    """
    by_id = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    following = metadata.current_snapshot_id
    while following is not None and (snapshot := by_id.pop(following, None)) is not None:
        yield snapshot
        following = snapshot.parent_snapshot_id
