"""The committer of a table: batches that arrive during a commit share the next one.

At most two groups are in progress: while one commits, the next may be prepared, that is, decoded
and written to data files.
"""

import asyncio
from collections.abc import Sequence

from lakegate import clock
from lakegate.lake.commit.batch_queue import LARGE_GROUP_BYTES, BatchQueue
from lakegate.lake.commit.exactly_once import ExactlyOnce
from lakegate.lake.commit.group_commit import GroupCommit
from lakegate.lake.commit.policy import CommitPolicy
from lakegate.lake.commit.preparation import prepare
from lakegate.lake.commit.prepared_group import PreparedGroup
from lakegate.lake.commit.queued_batch import QueuedBatch
from lakegate.lake.commit.removable import RemovableSnapshots
from lakegate.lake.failures import draining, outcome_unknown
from lakegate.lake.files.names import delete_files
from lakegate.lake.ledger.entries import Entry
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.ledger.pending_snapshots import PendingSnapshots
from lakegate.lake.table.cached_table import CachedTable
from lakegate.lake.table.retention import min_interval_seconds
from lakegate.model import Acknowledgement, Batch


class TableCommitter:
    """Commits the batches of one table, group by group."""

    def __init__(self, table: CachedTable, policy: CommitPolicy, ledger: Ledger) -> None:
        """Commit to `table`; keyed batches are claimed in `ledger`."""
        self.table = table
        self.exactly_once = ExactlyOnce(table, ledger, self._enqueue)
        # How many commits with rows there were.
        self.commits = 0
        self._policy = policy
        self._removable = RemovableSnapshots(policy.retention, PendingSnapshots(ledger, table.name))
        self._queue = BatchQueue()
        self._unanswered: dict[QueuedBatch, None] = {}
        self._worker: asyncio.Task[None] | None = None
        self._running: set[GroupCommit] = set()
        self._aborted = False
        # Whether the last group was shared by several batches, and when it was taken.
        self._busy = False
        self._last_commit = float("-inf")
        self._deletions: set[asyncio.Task[int]] = set()

    def append(self, batch: Batch, entry: Entry | None) -> asyncio.Future[Acknowledgement]:
        """Queue the batch for the next group; it is removed if the future is cancelled first.

        `entry`: the ledger's entry of a keyed batch.
        """
        answer = asyncio.get_running_loop().create_future()
        in_flight = self.exactly_once.in_flight.add(entry) if entry else None
        queued = QueuedBatch(batch, answer, in_flight)
        self._unanswered[queued] = None
        answer.add_done_callback(lambda _: self._unanswered.pop(queued))
        self._enqueue(queued)
        return answer

    def abort(self) -> None:
        """Refuse every batch that is not answered, and begin no further attempt at a commit.

        A batch whose commit may have reached the catalog is refused with `outcome_unknown`.
        """
        self._aborted = True
        for commit in self._running:
            commit.abort()
        for queued in list(self._unanswered):
            queued.refuse(outcome_unknown() if queued.sent else draining())

    @property
    def idle(self) -> bool:
        """Whether no batch is queued or in flight."""
        return self._worker is None and not self.exactly_once.in_flight

    async def drain(self) -> None:
        """Wait until every batch is answered."""
        while tasks := {self._worker} if self._worker else set(self.exactly_once.lease_waits):
            await asyncio.wait(tasks)
        await asyncio.gather(*self._deletions)

    def _enqueue(self, queued: QueuedBatch) -> None:
        self._queue.append(queued)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    def _enqueue_again(self, batches: Sequence[QueuedBatch]) -> None:
        for queued in batches:
            if queued.unanswered:
                self._enqueue(queued)
            else:
                queued.abandon()

    async def _work(self) -> None:
        """Prepare and commit groups until the queue is empty."""
        commit: asyncio.Task[None] | None = None
        try:
            while self._queue or commit is not None:
                prepared = await self._prepare_next() if self._queue else None
                if commit is not None:
                    await commit
                    commit = None
                if prepared is not None:
                    commit = asyncio.create_task(self._commit(prepared))
                    await self._until_worthwhile(commit)
        finally:
            self._worker = None

    async def _prepare_next(self) -> PreparedGroup:
        await self._pace()
        group = await self.exactly_once.admit(self._take_group())
        prepared = await prepare(self.table, group)
        self._enqueue_again(prepared.deferred)
        return prepared

    async def _pace(self) -> None:
        """Keep groups `_interval` apart after a shared commit; a lone sender is not delayed."""
        if self._busy:
            await asyncio.sleep(self._last_commit + self._interval() - clock.monotonic())
            await self.table.workers.priority.yield_turn()
        self._last_commit = clock.monotonic()

    def _interval(self) -> float:
        """Return the shortest time between two shared commits, in seconds."""
        state = self.table.cached_state
        least = min_interval_seconds(state.metadata) if state is not None else 0.0
        return max(self._policy.interval_seconds, least)

    def _take_group(self) -> list[QueuedBatch]:
        group = self._queue.take_group(self._policy.group_max_bytes)
        self._busy = len(group) > 1
        if len(group) == 1 and group[0].size < LARGE_GROUP_BYTES:
            self.table.workers.priority.prefer(group[0].answer)
        return group

    async def _commit(self, prepared: PreparedGroup) -> None:
        """Commit the group; its batches are answered, or queued again."""
        commit = GroupCommit(self.table, prepared, self._policy, self.exactly_once, self._removable)
        if self._aborted:
            commit.abort()
        self._running.add(commit)
        try:
            self._enqueue_again(await commit.run())
        finally:
            self._running.discard(commit)
        if commit.snapshot_id is not None:
            self.commits += 1
            self._removable.add_own(commit.snapshot_id)
            self._delete_old_metadata()

    async def _until_worthwhile(self, commit: asyncio.Task[None]) -> None:
        """Wait until the commit ends, or the queue is large enough to be prepared meanwhile."""
        if self._queue.large.is_set():
            return
        large = asyncio.create_task(self._queue.large.wait())
        await asyncio.wait({commit, large}, return_when=asyncio.FIRST_COMPLETED)
        large.cancel()

    def _delete_old_metadata(self) -> None:
        """Delete old metadata files during the next commits."""
        state = self.table.cached_state
        if state is not None and (due := self.table.removed_metadata.due()):
            deletion = asyncio.create_task(self.table.workers.run(delete_files, state.io, due))
            self._deletions.add(deletion)
            deletion.add_done_callback(self._deletions.discard)
