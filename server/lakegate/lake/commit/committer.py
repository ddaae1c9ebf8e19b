"""Group commit: all batches that gather while a table is busy share its next commit.

Two groups may be under way at a time: while one commits, the next is decoded
and its data files written.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from lakegate import clock
from lakegate.lake.commit.exactly_once import ExactlyOnce
from lakegate.lake.commit.group_commit import CommitPolicy, GroupCommit
from lakegate.lake.commit.preparation import prepare
from lakegate.lake.commit.prepared_group import PreparedGroup
from lakegate.lake.commit.queued_batch import QueuedBatch
from lakegate.lake.commit.removable import RemovableSnapshots
from lakegate.lake.failures import draining, outcome_unknown
from lakegate.lake.files.names import delete_files
from lakegate.lake.ledger.entries import Entry
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.ledger.pending_snapshots import PendingSnapshots
from lakegate.lake.table.retention import least_interval_seconds
from lakegate.lake.table.warm import WarmTable
from lakegate.model import Acknowledgement, Batch

# With this much gathered, the next group is prepared while one commits; with
# less, it is better to let more requests join it.
EARLY_BYTES = 1024 * 1024


class TableCommitter:
    """Commits the batches of one table, group by group."""

    def __init__(self, table: WarmTable, policy: CommitPolicy, ledger: Ledger) -> None:
        """Commit to `table`, as `policy` says; `ledger` knows what is there already."""
        self.table = table
        self.exactly_once = ExactlyOnce(table, ledger, self._enqueue)
        self._removable = RemovableSnapshots(policy.retention, PendingSnapshots(ledger, table.name))
        self.commits = 0
        self._policy = policy
        self._queue: deque[QueuedBatch] = deque()
        self._queued_bytes = 0
        self._early = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._busy = False
        self._last_commit = float("-inf")
        self._deletions: set[asyncio.Task[int]] = set()
        self._unanswered: dict[QueuedBatch, None] = {}
        self._in_flight: set[GroupCommit] = set()
        self._aborted = False

    def append(self, batch: Batch, entry: Entry | None) -> asyncio.Future[Acknowledgement]:
        """Add the batch to the next group; it leaves again if the future is cancelled.

        `entry`: what the ledger knows the batch by.
        """
        answer = asyncio.get_running_loop().create_future()
        queued = QueuedBatch(batch, answer, self.exactly_once.enter(entry) if entry else None)
        self._unanswered[queued] = None
        answer.add_done_callback(lambda _: self._unanswered.pop(queued))
        self._enqueue(queued)
        return answer

    def abort(self) -> None:
        """Refuse every batch that is not answered, and begin no further attempt at a commit.

        A batch whose commit may have reached the catalog is refused with `outcome_unknown`.
        """
        self._aborted = True
        for commit in self._in_flight:
            commit.abort()
        for queued in list(self._unanswered):
            queued.refuse(outcome_unknown() if queued.sent else draining())

    def _enqueue(self, queued: QueuedBatch) -> None:
        self._queue.append(queued)
        self._queued_bytes += queued.size
        if self._queued_bytes >= EARLY_BYTES:
            self._early.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return self._worker is None and self.exactly_once.idle

    async def drain(self) -> None:
        """Wait until every batch is answered."""
        while waiting := {self._worker} if self._worker else set(self.exactly_once.waiting):
            await asyncio.wait(waiting)
        await asyncio.gather(*self._deletions)

    async def _work(self) -> None:
        """Commit until nothing is left."""
        commit: asyncio.Task[None] | None = None
        try:
            while self._queue or commit is not None:
                if self._queue:
                    await self._pace()
                    group = await self.exactly_once.admit(self._take_group())
                    prepared = await prepare(self.table, group)
                    self._enqueue_again(prepared.deferred)
                else:
                    prepared = None
                if commit is not None:
                    await commit
                    commit = None
                if prepared is not None:
                    commit = asyncio.create_task(self._commit(prepared))
                    await self._until_worthwhile(commit)
        finally:
            self._worker = None

    async def _pace(self) -> None:
        """Wait until the table may commit again, if its senders share commits: then more will."""
        if self._busy:
            await asyncio.sleep(self._last_commit + self._interval() - clock.monotonic())
            await self.table.workers.priority.yield_turn()
        self._last_commit = clock.monotonic()

    def _interval(self) -> float:
        """Return the least time between two shared commits, in seconds."""
        state = self.table.warm_state
        least = least_interval_seconds(state.metadata) if state is not None else 0.0
        return max(self._policy.interval_seconds, least)

    async def _until_worthwhile(self, commit: asyncio.Task[None]) -> None:
        """Wait until the commit ends, or enough has gathered to be prepared beside it."""
        if self._early.is_set():
            return
        early = asyncio.create_task(self._early.wait())
        await asyncio.wait({commit, early}, return_when=asyncio.FIRST_COMPLETED)
        early.cancel()

    def _take_group(self) -> list[QueuedBatch]:
        """Take what has gathered, up to the byte budget, without those whose sender is gone."""
        group: list[QueuedBatch] = []
        size = 0
        while self._queue:
            queued = self._queue[0]
            if group and queued.waiting and size + queued.size > self._policy.group_max_bytes:
                break
            self._queue.popleft()
            self._queued_bytes -= queued.size
            if queued.waiting:
                group.append(queued)
                size += queued.size
            else:
                queued.leave()
        if self._queued_bytes < EARLY_BYTES:
            self._early.clear()
        self._busy = len(group) > 1
        if len(group) == 1 and size < EARLY_BYTES:
            self.table.workers.priority.prefer(group[0].answer)
        return group

    async def _commit(self, prepared: PreparedGroup) -> None:
        """Commit the group and answer every queued, whatever happens."""
        commit = GroupCommit(self.table, prepared, self._policy, self.exactly_once, self._removable)
        if self._aborted:
            commit.abort()
        self._in_flight.add(commit)
        try:
            self._enqueue_again(await commit.run())
        finally:
            self._in_flight.discard(commit)
        if commit.snapshot_id is not None:
            self.commits += 1
            self._removable.add_own(commit.snapshot_id)
            self._delete_old_metadata()

    def _enqueue_again(self, batches: Sequence[QueuedBatch]) -> None:
        for queued in batches:
            if queued.waiting:
                self._enqueue(queued)
            else:
                queued.leave()

    def _delete_old_metadata(self) -> None:
        """Delete old metadata files beside the next commits."""
        state = self.table.warm_state
        if state is not None and (due := self.table.old_metadata.due()):
            deletion = asyncio.create_task(self.table.workers.run(delete_files, state.io, due))
            self._deletions.add(deletion)
            deletion.add_done_callback(self._deletions.discard)
