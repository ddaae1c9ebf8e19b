"""Group commit: all batches that gather while a table is busy share its next commit.

Two groups may be under way at a time: while one commits, the next is decoded
and its data files written.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from lakegate import clock
from lakegate.lake.commit.exactly_once import ExactlyOnce
from lakegate.lake.commit.group import Member, PreparedGroup
from lakegate.lake.commit.group_commit import CommitPolicy, GroupCommit
from lakegate.lake.commit.preparation import prepare
from lakegate.lake.commit.removable import RemovableSnapshots
from lakegate.lake.failures import draining, outcome_unknown
from lakegate.lake.files.names import delete_files
from lakegate.lake.ledger.entries import Entry
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.ledger.pending_snapshots import LookedFor
from lakegate.lake.table.cached_table import CachedTable
from lakegate.lake.table.retention import min_interval_seconds
from lakegate.model import Acknowledgement, Batch

# With this much gathered, the next group is prepared while one commits; with
# less, it is better to let more requests join it.
EARLY_BYTES = 1024 * 1024


class TableCommitter:
    """Commits the batches of one table, group by group."""

    def __init__(self, table: CachedTable, policy: CommitPolicy, ledger: Ledger) -> None:
        """Commit to `table`, as `policy` says; `ledger` knows what is there already."""
        self.table = table
        self.once = ExactlyOnce(table, ledger, self._gather)
        self._removable = RemovableSnapshots(policy.retention, LookedFor(ledger, table.name))
        self.commits = 0
        self._policy = policy
        self._gathered: deque[Member] = deque()
        self._gathered_bytes = 0
        self._early = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._busy = False
        self._last_commit = float("-inf")
        self._tidying: set[asyncio.Task[int]] = set()
        self._unanswered: dict[Member, None] = {}
        self._under_way: set[GroupCommit] = set()
        self._given_up = False

    def append(self, batch: Batch, entry: Entry | None) -> asyncio.Future[Acknowledgement]:
        """Add the batch to the next group; it leaves again if the future is cancelled.

        `entry`: what the ledger knows the batch by.
        """
        answer = asyncio.get_running_loop().create_future()
        member = Member(batch, answer, self.once.enter(entry) if entry else None)
        self._unanswered[member] = None
        answer.add_done_callback(lambda _: self._unanswered.pop(member))
        self._gather(member)
        return answer

    def give_up(self) -> None:
        """Refuse every batch that is not answered, and begin no further attempt at a commit.

        A batch whose commit may have reached the catalog is refused with `outcome_unknown`.
        """
        self._given_up = True
        for commit in self._under_way:
            commit.give_up()
        for member in list(self._unanswered):
            member.refuse(outcome_unknown() if member.sent else draining())

    def _gather(self, member: Member) -> None:
        self._gathered.append(member)
        self._gathered_bytes += member.size
        if self._gathered_bytes >= EARLY_BYTES:
            self._early.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return self._worker is None and self.once.idle

    async def drain(self) -> None:
        """Wait until every batch is answered."""
        while waiting := {self._worker} if self._worker else set(self.once.waiting):
            await asyncio.wait(waiting)
        await asyncio.gather(*self._tidying)

    async def _work(self) -> None:
        """Commit until nothing is left."""
        commit: asyncio.Task[None] | None = None
        try:
            while self._gathered or commit is not None:
                if self._gathered:
                    await self._pace()
                    group = await self.once.admit(self._take_group())
                    prepared = await prepare(self.table, group)
                    self._gather_again(prepared.deferred)
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
            await self.table.workers.precedence.give_way()
        self._last_commit = clock.monotonic()

    def _interval(self) -> float:
        """Return the least time between two shared commits, in seconds."""
        state = self.table.cached_state
        least = min_interval_seconds(state.metadata) if state is not None else 0.0
        return max(self._policy.interval_seconds, least)

    async def _until_worthwhile(self, commit: asyncio.Task[None]) -> None:
        """Wait until the commit ends, or enough has gathered to be prepared beside it."""
        if self._early.is_set():
            return
        early = asyncio.create_task(self._early.wait())
        await asyncio.wait({commit, early}, return_when=asyncio.FIRST_COMPLETED)
        early.cancel()

    def _take_group(self) -> list[Member]:
        """Take what has gathered, up to the byte budget, without those whose sender is gone."""
        group: list[Member] = []
        size = 0
        while self._gathered:
            member = self._gathered[0]
            if group and member.waiting and size + member.size > self._policy.group_max_bytes:
                break
            self._gathered.popleft()
            self._gathered_bytes -= member.size
            if member.waiting:
                group.append(member)
                size += member.size
            else:
                member.leave()
        if self._gathered_bytes < EARLY_BYTES:
            self._early.clear()
        self._busy = len(group) > 1
        if len(group) == 1 and size < EARLY_BYTES:
            self.table.workers.precedence.give(group[0].answer)
        return group

    async def _commit(self, prepared: PreparedGroup) -> None:
        """Commit the group and answer every member, whatever happens."""
        commit = GroupCommit(self.table, prepared, self._policy, self.once, self._removable)
        if self._given_up:
            commit.give_up()
        self._under_way.add(commit)
        try:
            self._gather_again(await commit.run())
        finally:
            self._under_way.discard(commit)
        if commit.snapshot_id is not None:
            self.commits += 1
            self._removable.add_own(commit.snapshot_id)
            self._tidy()

    def _gather_again(self, members: Sequence[Member]) -> None:
        for member in members:
            if member.waiting:
                self._gather(member)
            else:
                member.leave()

    def _tidy(self) -> None:
        """Delete old metadata files beside the next commits."""
        state = self.table.cached_state
        if state is not None and (due := self.table.removed_metadata.due()):
            tidying = asyncio.create_task(self.table.workers.run(delete_files, state.io, due))
            self._tidying.add(tidying)
            tidying.add_done_callback(self._tidying.discard)
