"""Snapshots of pending entries: retention keeps them, since a retry searches for them."""

import logging
from collections.abc import Sequence

from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.entries import TableIdentity, commit_id_of
from lakegate.lake.ledger.ledger import Ledger
from lakegate.model import TableName

log = logging.getLogger(__name__)


class PendingSnapshots:
    """The snapshots of one table whose commits are named by pending entries.

    A commit is named by its entries before it is made. Once it is made, and no pending entry names
    it, none will name it again. So a snapshot that was removable once stays removable, and the
    ledger is read only for snapshots that were not.
    """

    def __init__(self, ledger: Ledger, table: TableName) -> None:
        """Read `ledger` for the commits of `table`."""
        self._ledger = ledger
        self._table = table
        self._removable: frozenset[int] = frozenset()

    def removable(self, metadata: TableMetadata, expired: Sequence[int]) -> list[int]:
        """Return those of `expired` that no pending entry names. Blocks.

        `metadata` must have been read before this is called. If the ledger does not answer, only
        snapshots that are known to be removable are returned.
        """
        if not self._removable.issuperset(expired):
            self._read_ledger(metadata)
        return [snapshot_id for snapshot_id in expired if snapshot_id in self._removable]

    def _read_ledger(self, metadata: TableMetadata) -> None:
        try:
            pending = self._ledger.pending_commits(TableIdentity.of(self._table, metadata))
        except LedgerUnavailableError as error:
            log.warning("Expired snapshots of %s are kept for now: %s", self._table, error)
            return
        self._removable = frozenset(
            snapshot.snapshot_id
            for snapshot in metadata.snapshots
            if commit_id_of(snapshot) not in pending
        )
