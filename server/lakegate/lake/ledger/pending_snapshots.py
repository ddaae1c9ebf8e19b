"""Snapshots that may still be looked for stay, whatever retention says."""

import logging
from collections.abc import Sequence

from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.entries import TableIdentity, commit_id_of
from lakegate.lake.ledger.ledger import Ledger
from lakegate.model import TableName

log = logging.getLogger(__name__)


class PendingSnapshots:
    """Tells, for one table, which snapshots no retry will look for any more.

    While an entry is pending, the commits that may have applied it are looked
    for by their ids. An entry names its commits before they are made, and a
    commit that is made and that no pending entry names will never be named
    again. So what was free once stays free, and the ledger is asked but once
    for all the snapshots that there are.
    """

    def __init__(self, ledger: Ledger, table: TableName) -> None:
        """Use `ledger` for the commits of `table`."""
        self._ledger = ledger
        self._table = table
        self._free: frozenset[int] = frozenset()

    def removable(self, metadata: TableMetadata, expired: Sequence[int]) -> list[int]:
        """Return those of `expired` that may go. Blocks.

        `metadata` must have been read before this is called. Where the ledger
        does not answer, everything that might be looked for stays.
        """
        if not self._free.issuperset(expired):
            self._ask(metadata)
        return [snapshot_id for snapshot_id in expired if snapshot_id in self._free]

    def _ask(self, metadata: TableMetadata) -> None:
        try:
            pending = self._ledger.pending_commits(TableIdentity.of(self._table, metadata))
        except LedgerUnavailableError as error:
            log.warning("Snapshots of %s are kept for now: %s", self._table, error)
            return
        self._free = frozenset(
            snapshot.snapshot_id
            for snapshot in metadata.snapshots
            if commit_id_of(snapshot) not in pending
        )
