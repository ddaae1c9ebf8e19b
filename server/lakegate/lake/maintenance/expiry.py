"""Expiry of snapshots in tables without commits: every commit expires snapshots too."""

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
    """Expire the snapshots past their retention; return how many. Raises as `change_table`.

    `removable`: returns those of the given snapshots that no server needs to find any more.
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
