"""The snapshots that the next commit to a table removes from its metadata."""

from cachetools import FIFOCache

from lakegate import clock
from lakegate.lake.catalog.sql import compares_all_metadata
from lakegate.lake.ledger.pending_snapshots import PendingSnapshots
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.state import TableState

# Far more than retention keeps in a table.
OWN_SNAPSHOTS = 10_000
# The greatest age of the state, if the catalog does not compare all of it at a commit.
FRESH_SECONDS = 1.0


class RemovableSnapshots:
    """The snapshots of one table that are past retention and named by no pending entry."""

    def __init__(self, retention: Retention, pending: PendingSnapshots) -> None:
        """Apply `retention`, and keep the snapshots that `pending` keeps."""
        self._retention = retention
        self._pending = pending
        self._own: FIFOCache[int, None] = FIFOCache(OWN_SNAPSHOTS)

    def add_own(self, snapshot_id: int) -> None:
        """Add a snapshot that this process has committed."""
        self._own[snapshot_id] = None

    def of(self, state: TableState) -> list[int]:
        """Return the snapshots to remove. Blocks.

        Another engine may have tagged one of them, or changed what the table keeps. In a SQL
        catalog the commit fails then; with other catalogs only a state that was just read shows it.
        """
        compared = compares_all_metadata(state.table.catalog)
        if not compared and clock.monotonic() - state.loaded_at > FRESH_SECONDS:
            return []
        metadata = state.metadata
        expired = self._retention.expired(metadata, self._own, clock.now_ms())
        return self._pending.removable(metadata, expired)
