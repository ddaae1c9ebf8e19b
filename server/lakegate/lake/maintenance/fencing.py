"""A fence put up: see `lakegate.lake.commit.fence` for what it is and why."""

import contextlib
import uuid

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import SetPropertiesUpdate

from lakegate.concurrency.retry import MAINTENANCE_COMMIT
from lakegate.lake.commit.fence import FENCE, Baseline, is_fence
from lakegate.lake.commit.snapshot import commit_snapshot, new_snapshot, summary
from lakegate.lake.failures import CommitOutcomeUnknownError
from lakegate.lake.maintenance.managed import Alone, ManagedTable
from lakegate.lake.table.state import TableState


def put_fence(catalog: Catalog, table: ManagedTable, alone: Alone) -> bool:
    """Put up a fence; return whether it stands. False where ingest was always faster. Blocks.

    `alone` holds off the commits of this process meanwhile.
    """
    for _ in MAINTENANCE_COMMIT.attempts():
        with alone(), contextlib.suppress(CommitFailedException, CommitOutcomeUnknownError):
            _commit(table.reload(catalog).state)
            return True
    return False


def is_at_fence(metadata: TableMetadata) -> bool:
    """Return whether nothing was committed since the latest fence."""
    return is_fence(metadata.current_snapshot())


def _commit(state: TableState) -> None:
    snapshot_id = state.metadata.new_snapshot_id()
    fence = {FENCE: str(snapshot_id)}
    unchanged = summary(state, Operation.REPLACE, str(uuid.uuid4()), added=())
    unchanged.additional_properties.update(fence)
    baseline = Baseline.of(state.metadata)
    snapshot = new_snapshot(state, snapshot_id, state.manifests, unchanged, baseline)
    commit_snapshot(state, snapshot, state.manifests, [SetPropertiesUpdate(updates=fence)])
