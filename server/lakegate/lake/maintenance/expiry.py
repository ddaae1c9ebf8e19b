"""Expiry: snapshots past their retention leave the metadata of a table nobody writes to."""

from collections.abc import Callable, Sequence

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.update import AssertRefSnapshotId, RemoveSnapshotsUpdate

from lakegate import clock
from lakegate.lake.maintenance.managed import ManagedTable
from lakegate.lake.table.change import change_table
from lakegate.lake.table.retention import Retention

Removable = Callable[[TableMetadata, Sequence[int]], list[int]]


def expire(table: ManagedTable, retention: Retention, removable: Removable) -> int:
    """Remove the snapshots past retention; return how many. Raises as `change_table`.

    `removable` gives those of them that nobody looks for any more.

    A busy table needs none of this: each commit does it too.
    """
    metadata = table.metadata
    past = retention.expired(metadata, (), clock.now_ms())
    expired = removable(metadata, past)
    if expired:
        change_table(
            table.state,
            (AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=metadata.current_snapshot_id),),
            (RemoveSnapshotsUpdate(snapshot_ids=expired),),
        )
    return len(expired)
