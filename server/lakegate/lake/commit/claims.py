"""The claims of one group commit: made before it, checked with it, settled after it."""

import logging
from collections.abc import Sequence

from lakegate.lake.commit.in_flight_batch import InFlightBatch
from lakegate.lake.commit.queued_batch import QueuedBatch
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.entries import CommitResult, TableIdentity, commits_of
from lakegate.lake.ledger.ledger import Claim, ClaimConflictError, Ledger
from lakegate.lake.table.state import TableState
from lakegate.lake.table.warm import WarmTable

log = logging.getLogger(__name__)


class ClaimsLostError(Exception):
    """The group may not be committed as it is; what is left of it must be prepared anew."""


class Claims:
    """The entries of a group's batches, on behalf of one commit."""

    def __init__(
        self,
        table: WarmTable,
        ledger: Ledger,
        commit_id: str,
        rows: Sequence[tuple[QueuedBatch, int]],
    ) -> None:
        """Speak for the commit `commit_id` of these batches and their numbers of rows."""
        self._table = table
        self._ledger = ledger
        self._commit_id = commit_id
        self._keyed: list[tuple[QueuedBatch, InFlightBatch, int]] = [
            (queued, queued.in_flight, number)
            for queued, number in rows
            if queued.in_flight is not None
        ]
        # The table in which they are claimed, once they are.
        self._claimed_in: TableIdentity | None = None

    async def own(self, state: TableState | None) -> None:
        """Make sure that the batches may be committed on top of `state`, and nowhere else.

        Must come after `state` was read and before each attempt at a commit that
        is guarded by it. Raises `ClaimsLostError` and `LedgerUnavailableError`. A missing
        table, None, has no rows: nothing to own.
        """
        if not self._keyed or state is None:
            return
        try:
            await self._claim_or_renew(TableIdentity.of(self._table.name, state.metadata))
        except ClaimConflictError as error:
            raise ClaimsLostError from error
        displaced = self._displaced()
        if displaced and displaced & commits_of(state.metadata).keys():
            raise ClaimsLostError  # the claimant was not gone: its commit is there

    async def settle(self, committed: CommitResult) -> None:
        """Note that the commit has come through.

        Where the ledger cannot be told, a retry will find the commit by its id.
        """
        if self._claimed_in is None:
            return
        try:
            await self._table.workers.run(
                self._ledger.settle, self._claimed_in, self._commit_id, committed
            )
        except LedgerUnavailableError as error:
            log.warning("Commit %s is left for its retries to find: %s", self._commit_id, error)

    async def abandon(self) -> None:
        """End the leases of the claims; if that fails, they expire."""
        if self._claimed_in is None:
            return
        try:
            await self._table.workers.run(self._ledger.abandon, self._claimed_in, self._commit_id)
        except LedgerUnavailableError as error:
            log.warning("The claims of %s end with their lease: %s", self._commit_id, error)

    async def _claim_or_renew(self, table: TableIdentity) -> None:
        run = self._table.workers.run
        if self._claimed_in is not None:
            renewed = await run(self._ledger.renew, self._claimed_in, self._commit_id)
            if renewed < len(self._keyed):
                raise ClaimConflictError
            return
        claims = [
            Claim(in_flight.entry, number, in_flight.displaces)
            for _, in_flight, number in self._keyed
        ]
        await run(self._ledger.claim, table, self._commit_id, claims)
        self._claimed_in = table

    def _displaced(self) -> set[str]:
        """Name the commits that must not be there: those of claimants whose place was taken."""
        return {
            attempt.commit_id
            for _, in_flight, _ in self._keyed
            if in_flight.displaces is not None
            for attempt in in_flight.displaces.claimants
        }
