"""The claims of one group commit: made before it, renewed with each attempt, settled after it."""

import logging
from collections.abc import Sequence

from lakegate.lake.commit.queued_batch import QueuedBatch
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.claiming import Claim, ClaimConflictError
from lakegate.lake.ledger.entries import CommitResult, TableIdentity, commits_of
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.table.cached_table import CachedTable
from lakegate.lake.table.state import TableState

log = logging.getLogger(__name__)


class ClaimsLostError(Exception):
    """Batches of the group are claimed or applied by now, or follow none: prepare it again."""


class Claims:
    """The claims of the keyed batches of a group, for one commit."""

    def __init__(
        self,
        table: CachedTable,
        ledger: Ledger,
        commit_id: str,
        rows: Sequence[tuple[QueuedBatch, int]],
    ) -> None:
        """Prepare the claims of these batches, with their numbers of rows, for `commit_id`."""
        self._table = table
        self._ledger = ledger
        self._commit_id = commit_id
        self._claims = [
            Claim(queued.in_flight.entry, number, queued.in_flight.displaces)
            for queued, number in rows
            if queued.in_flight is not None
        ]
        # The table in which they are claimed, once they are.
        self._claimed_in: TableIdentity | None = None

    async def acquire(self, state: TableState | None) -> None:
        """Claim the batches, or renew the claims, for a commit that is based on `state`.

        Must be called after `state` was read and before each attempt that is based on it: rules
        (a) and (b) in `docs/exactly-once.md`. Does nothing for a missing table, None.
        Raises `ClaimsLostError` and `LedgerUnavailableError`.
        """
        if not self._claims or state is None:
            return
        try:
            await self._claim_or_renew(TableIdentity.of(self._table.name, state.metadata))
        except ClaimConflictError as error:
            raise ClaimsLostError from error
        displaced = self._displaced_commits()
        if displaced and displaced & commits_of(state.metadata).keys():
            raise ClaimsLostError  # a displaced claimant has committed after all

    async def settle(self, result: CommitResult) -> None:
        """Mark the batches as applied in the ledger.

        If the ledger does not answer, a retry finds the commit by its id.
        """
        if self._claimed_in is None:
            return
        try:
            await self._table.workers.run(
                self._ledger.settle, self._claimed_in, self._commit_id, result
            )
        except LedgerUnavailableError as error:
            log.warning(
                "Commit %s is not settled; a retry will find it: %s", self._commit_id, error
            )

    async def end_leases(self) -> None:
        """End the leases of the claims; if the ledger does not answer, they expire."""
        if self._claimed_in is None:
            return
        try:
            await self._table.workers.run(
                self._ledger.end_leases, self._claimed_in, self._commit_id
            )
        except LedgerUnavailableError as error:
            log.warning("The leases of commit %s must expire: %s", self._commit_id, error)

    async def _claim_or_renew(self, table: TableIdentity) -> None:
        run = self._table.workers.run
        if self._claimed_in is None:
            await run(self._ledger.claim, table, self._commit_id, self._claims)
            self._claimed_in = table
        elif await run(self._ledger.renew, self._claimed_in, self._commit_id) < len(self._claims):
            raise ClaimConflictError

    def _displaced_commits(self) -> set[str]:
        """Return the commit ids of displaced claimants: none of them may be in the table."""
        return {
            claimant.commit_id
            for claim in self._claims
            if claim.displaces is not None
            for claimant in claim.displaces.claimants
        }
