"""The commit of one prepared group: attempts until its rows are in a snapshot, or are refused.

What happens after which error is listed in `lakegate.lake.commit`.
"""

import logging
import uuid
from collections.abc import Sequence

from pyiceberg.exceptions import CommitFailedException

from lakegate.concurrency.retry import COMMIT_OTHER_ERRORS
from lakegate.errors import LakegateError
from lakegate.lake.commit.claims import ClaimsLostError
from lakegate.lake.commit.doubt import Doubt, HistoryExpiredError
from lakegate.lake.commit.exactly_once import ExactlyOnce
from lakegate.lake.commit.policy import CommitPolicy
from lakegate.lake.commit.prepared_group import PreparedGroup
from lakegate.lake.commit.queued_batch import QueuedBatch, keyed, refuse, unkeyed
from lakegate.lake.commit.removable import RemovableSnapshots
from lakegate.lake.commit.snapshot import Append, new_append
from lakegate.lake.failures import (
    RETRYABLE,
    CommitOutcomeUnknownError,
    FilesTooOldError,
    LedgerUnavailableError,
    TableChangedError,
    TableMissingError,
    TableReplacedError,
    as_lakegate_error,
    described,
    draining,
    outcome_unknown,
)
from lakegate.lake.table.cached_table import CachedTable
from lakegate.lake.table.state import TableState, load_state

log = logging.getLogger(__name__)

# The group cannot be committed as it was prepared, but its bodies can be prepared again.
_PREPARE_AGAIN = (
    ClaimsLostError,
    FilesTooOldError,
    TableChangedError,
    TableMissingError,
    TableReplacedError,
)


class GroupCommit:
    """Commits one prepared group, over all its attempts.

    `snapshot_id`: the snapshot with the rows, once they are committed.
    """

    def __init__(
        self,
        table: CachedTable,
        prepared: PreparedGroup,
        policy: CommitPolicy,
        exactly_once: ExactlyOnce,
        removable: RemovableSnapshots,
    ) -> None:
        """Commit `prepared` to `table`, and remove the snapshots that are `removable`."""
        self.snapshot_id: int | None = None
        self._id = str(uuid.uuid4())
        self._table = table
        self._prepared = prepared
        self._policy = policy
        self._claims = exactly_once.claims(self._id, prepared.rows)
        self._removable = removable
        self._append: Append | None = None
        self._doubt = Doubt()
        self._aborted = False

    def abort(self) -> None:
        """Start no further attempt."""
        self._aborted = True

    async def run(self) -> Sequence[QueuedBatch]:
        """Commit, and answer the batches; return those that must be prepared again."""
        try:
            if self._prepared.files:
                await self._commit_files()
            elif self._prepared.rows:
                await self._acknowledge_without_rows()
        except LedgerUnavailableError as error:
            refuse(keyed(self._prepared.batches), self._refusal(error))
            return await self._prepare_again()
        except _PREPARE_AGAIN:
            return await self._prepare_again()
        except Exception as error:
            if not isinstance(error, (LakegateError, HistoryExpiredError, *RETRYABLE)):
                log.exception("A commit to %s failed", self._table.name)
            await self._claims.end_leases()
            refuse(self._prepared.batches, self._refusal(error))
        return ()

    async def _prepare_again(self) -> Sequence[QueuedBatch]:
        """End the leases, and return the batches; some of them may be answered already."""
        await self._claims.end_leases()
        batches = self._prepared.batches
        if self._doubt:  # only the ledger can show later whether the attempt was committed
            refuse(unkeyed(batches), outcome_unknown())
        for queued in batches:
            queued.in_doubt = queued.in_doubt or bool(self._doubt)
            queued.sent = queued.in_doubt
        return batches

    def _refusal(self, error: Exception) -> LakegateError:
        if self._doubt:
            log.warning("%s: the outcome is unknown: %s", self._table.name, described(error))
            return outcome_unknown()
        return as_lakegate_error(error, self._table.name, self._policy.retry.most_attempts)

    async def _acknowledge_without_rows(self) -> None:
        try:
            state = await self._table.workers.run(load_state, self._table.catalog, self._table.name)
        except TableMissingError:
            state = None
        await self._claims.acquire(state)
        await self._acknowledge(state.snapshot_id if state else "")

    async def _acknowledge(self, snapshot_id: str) -> None:
        """Answer, then settle: until it is settled, a retry finds the commit by its id."""
        result = self._prepared.result(snapshot_id)
        self._prepared.acknowledge(result)
        await self._claims.settle(result)

    async def _commit_files(self) -> None:
        if len(self._prepared.rows) > 1:
            await self._table.workers.priority.yield_turn()
        await self._make_attempts()
        await self._acknowledge(str(self.snapshot_id))

    async def _make_attempts(self) -> None:
        """Attempt the commit until it succeeds. Raises the error of the last attempt."""
        failure: Exception = CommitFailedException("No attempt was made.")
        async for number in self._policy.retry.attempts():
            try:
                async with self._table.lock:
                    self.snapshot_id = await self._attempt()
            except (*_PREPARE_AGAIN, LedgerUnavailableError):
                self._table.forget()
                raise
            except Exception as error:  # noqa: BLE001 - raised below, after the last attempt
                self._table.forget()
                log.info("Commit to %s, attempt %d: %s", self._table.name, number, described(error))
                failure = error
                if number >= self._most_attempts(error):
                    break
            else:
                return
        if not await self._was_committed():
            raise failure

    def _most_attempts(self, error: Exception) -> int:
        if isinstance(error, RETRYABLE):
            return self._policy.retry.most_attempts
        if isinstance(error, (LakegateError, HistoryExpiredError)):
            return 1
        return COMMIT_OTHER_ERRORS.most_attempts

    async def _was_committed(self) -> bool:
        """Read the table again after the last attempt; return whether it has the snapshot."""
        if self._append is None:
            return False
        try:
            state = await self._table.workers.run(load_state, self._table.catalog, self._table.name)
        except Exception as error:  # noqa: BLE001 - the error of the attempt is the one to report
            log.debug("%s cannot be read: %s", self._table.name, described(error))
            return False
        if state.has_snapshot(self._append.snapshot_id):
            self.snapshot_id = self._append.snapshot_id
        return self.snapshot_id is not None

    async def _attempt(self) -> int:
        """Make one attempt; return the id of the snapshot with the rows. Needs the lock."""
        state = await self._table.locked_state()
        if self._append is None or not state.has_snapshot(self._append.snapshot_id):
            await self._claims.acquire(state)
            if self._aborted:
                raise draining()
            for queued in self._prepared.batches:
                queued.sent = True
            state = await self._table.workers.run(self._commit_on, state)
        self._table.remember(state)
        assert self._append is not None  # noqa: S101 - made by the attempt
        return self._append.snapshot_id

    def _commit_on(self, state: TableState) -> TableState:
        """Commit on top of `state`. Blocks."""
        self._prepared.check_fits(state)
        self._doubt.check_history(state.metadata)
        if self._append is None:
            prepared = self._prepared
            self._append = new_append(state, prepared.files, self._id, prepared.baseline)
        try:
            return self._append.commit(state, self._removable.of(state))
        except CommitOutcomeUnknownError:
            self._doubt.add(state.metadata)
            raise
