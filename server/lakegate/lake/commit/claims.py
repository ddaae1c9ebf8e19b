"""The claims of one group commit: made before it, checked with it, settled after it."""

import logging
from collections.abc import Sequence

from lakegate.lake.commit.candidate import Candidate
from lakegate.lake.commit.group import Member
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger.entries import Committed, TableIdentity, commits_of
from lakegate.lake.ledger.ledger import Claim, ContestedError, Ledger
from lakegate.lake.table.cached_table import CachedTable
from lakegate.lake.table.state import TableState

log = logging.getLogger(__name__)


class ClaimsLostError(Exception):
    """The group may not be committed as it is; what is left of it must be prepared anew."""


class Claims:
    """The entries of a group's members, on behalf of one commit."""

    def __init__(
        self, table: CachedTable, ledger: Ledger, commit_id: str, rows: Sequence[tuple[Member, int]]
    ) -> None:
        """Speak for the commit `commit_id` of these members and their numbers of rows."""
        self._table = table
        self._ledger = ledger
        self._commit_id = commit_id
        self._candidates: list[tuple[Member, Candidate, int]] = [
            (member, member.candidate, number)
            for member, number in rows
            if member.candidate is not None
        ]
        # The table in which they are claimed, once they are.
        self._claimed_in: TableIdentity | None = None

    async def own(self, state: TableState | None) -> None:
        """Make sure that the members may be committed on top of `state`, and nowhere else.

        Must come after `state` was read and before each attempt at a commit that
        is guarded by it. Raises `ClaimsLostError` and `LedgerUnavailableError`. A missing
        table, None, has no rows: nothing to own.
        """
        if not self._candidates or state is None:
            return
        try:
            await self._claim_or_renew(TableIdentity.of(self._table.name, state.metadata))
        except ContestedError as error:
            raise ClaimsLostError from error
        displaced = self._displaced()
        if displaced and displaced & commits_of(state.metadata).keys():
            raise ClaimsLostError  # the claimant was not gone: its commit is there

    async def settle(self, committed: Committed) -> None:
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
            if renewed < len(self._candidates):
                raise ContestedError
            return
        claims = [
            Claim(candidate.entry, number, candidate.displaces)
            for _, candidate, number in self._candidates
        ]
        await run(self._ledger.claim, table, self._commit_id, claims)
        self._claimed_in = table

    def _displaced(self) -> set[str]:
        """Name the commits that must not be there: those of claimants whose place was taken."""
        return {
            attempt.commit_id
            for _, candidate, _ in self._candidates
            if candidate.displaces is not None
            for attempt in candidate.displaces.attempts
        }
