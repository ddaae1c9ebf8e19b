"""Which snapshots the next commit to a table removes from its metadata."""

from collections import deque

from lakegate import clock
from lakegate.lake.catalog.sql import compares_all_metadata
from lakegate.lake.ledger.pending_snapshots import PendingSnapshots
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.state import TableState

# More of its own than a table has snapshots that are younger than retention lets go.
OWN_SNAPSHOTS = 10_000
# How old a state may be that snapshots are removed by, where the catalog does not compare it.
FRESH_SECONDS = 1.0


class RemovableSnapshots:
    """The snapshots of one table that are past retention and that no retry looks for."""

    def __init__(self, retention: Retention, pending: PendingSnapshots) -> None:
        """Go by `retention`, and by what `looked_for` knows of the ledger."""
        self._retention = retention
        self._pending = pending
        self._own: deque[int] = deque(maxlen=OWN_SNAPSHOTS)

    def add_own(self, snapshot_id: int) -> None:
        """Note a snapshot that this process has made."""
        self._own.append(snapshot_id)

    def of(self, state: TableState) -> list[int]:
        """Return the snapshots to remove. Blocks.

        Another engine may have put a tag on one of them, or told the table to keep them. In a SQL
        catalog a commit fails then; in others only a state that was just read shows it.
        """
        compared = compares_all_metadata(state.table.catalog)
        if not compared and clock.monotonic() - state.loaded_at > FRESH_SECONDS:
            return []
        metadata = state.metadata
        expired = self._retention.expired(metadata, self._own, clock.now_ms())
        return self._pending.removable(metadata, expired)
