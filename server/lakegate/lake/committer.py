"""Group commit: all batches that gather while a table is busy share its next commit.

Two groups may be under way at a time: while one commits, the next is decoded
and its data files written.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.exceptions import CommitFailedException

from lakegate import clock
from lakegate.batches import Acknowledgement, Batch
from lakegate.errors import LakegateError
from lakegate.lake.backoff import backoff_seconds
from lakegate.lake.failures import (
    CATALOG_FAILURES,
    RETRYABLE,
    FilesTooOldError,
    TableMissingError,
    TableReplacedError,
    as_lakegate_error,
    described,
    outcome_unknown,
)
from lakegate.lake.files import delete_files
from lakegate.lake.group import Member, PreparedGroup, refuse, unnamed
from lakegate.lake.ledger.claims import Claims, ClaimsLostError
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.ledger.looked_for import LookedFor
from lakegate.lake.ledger.once import ExactlyOnce
from lakegate.lake.preparation import prepare
from lakegate.lake.retention import Retention
from lakegate.lake.snapshot import Append, new_append
from lakegate.lake.table_state import TableState, load_state
from lakegate.lake.warm_table import WarmTable

log = logging.getLogger(__name__)

# With this much gathered, the next group is prepared while one commits; with
# less, it is better to let more requests join it.
EARLY_BYTES = 1024 * 1024
# What is neither a conflict nor the catalog's fault is rarely cured by trying again.
OTHER_ATTEMPTS = 3
# No attempt begins later than this: where each waits for a lock, they are soon enough.
LONGEST_SECONDS = 60.0

# More of its own than a table has snapshots that are younger than retention lets go.
OWN_SNAPSHOTS = 10_000


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """How commits happen: the settings of these names, the interval in seconds."""

    group_max_bytes: int
    interval_seconds: float
    attempts: int
    retention: Retention


class TableCommitter:
    """Commits the batches of one table, group by group."""

    def __init__(self, table: WarmTable, policy: CommitPolicy, ledger: Ledger) -> None:
        """Commit to `table`, as `policy` says; `ledger` knows what is there already."""
        self.table = table
        self.once = ExactlyOnce(table, ledger, self._gather)
        self._looked_for = LookedFor(ledger, table.name)
        self.commits = 0
        self._policy = policy
        self._gathered: deque[Member] = deque()
        self._gathered_bytes = 0
        self._early = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._busy = False
        self._last_commit = float("-inf")
        self._tidying: set[asyncio.Task[int]] = set()
        self._own_snapshots: deque[int] = deque(maxlen=OWN_SNAPSHOTS)

    def append(self, batch: Batch) -> asyncio.Future[Acknowledgement]:
        """Let the batch join the next group; it leaves again if the future is cancelled."""
        answer = asyncio.get_running_loop().create_future()
        self._gather(Member(batch, answer, self.once.enter(batch)))
        return answer

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
            await asyncio.sleep(
                self._last_commit + self._policy.interval_seconds - clock.monotonic()
            )
            await self.table.workers.precedence.give_way()
        self._last_commit = clock.monotonic()

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
        commit = _Commit(prepared, self._policy, self._own_snapshots, self._looked_for)
        claims = self.once.claims(commit.id, prepared.rows)
        try:
            if prepared.files:
                if len(prepared.rows) > 1:
                    await self.table.workers.precedence.give_way()
                await self._commit_files(prepared, commit, claims)
            elif prepared.rows:
                state = await self._current_state()
                await claims.own(state)
                await self._acknowledge(prepared, claims, state.snapshot_id if state else "")
        except (ClaimsLostError, FilesTooOldError, TableReplacedError, TableMissingError):
            # The bodies are still here: what is left of the group begins anew.
            await claims.abandon()
            self._gather_again(prepared.members)
        except Exception as error:
            if not isinstance(error, RETRYABLE):
                log.exception("A commit to %s failed", self.table.name)
            await claims.abandon()
            refuse(prepared.members, self._refusal(error, commit))

    def _refusal(self, error: Exception, commit: "_Commit") -> LakegateError:
        if commit.attempted and isinstance(error, CATALOG_FAILURES):
            return outcome_unknown(error)
        return as_lakegate_error(error, self.table.name, self._policy.attempts)

    def _gather_again(self, members: Sequence[Member]) -> None:
        for member in members:
            if member.waiting:
                self._gather(member)
            else:
                member.leave()

    async def _acknowledge(self, prepared: PreparedGroup, claims: Claims, snapshot_id: str) -> None:
        """Answer, then settle: whoever asks in between finds the commit by its id."""
        committed = prepared.committed(snapshot_id)
        prepared.acknowledge(committed)
        await claims.settle(committed)

    async def _current_state(self) -> TableState | None:
        try:
            return await self.table.workers.run(load_state, self.table.catalog, self.table.name)
        except TableMissingError:
            return None

    async def _commit_files(
        self, prepared: PreparedGroup, commit: "_Commit", claims: Claims
    ) -> None:
        doubt: Exception | None = None
        give_up_at = clock.monotonic() + LONGEST_SECONDS
        for attempt in range(self._policy.attempts):
            try:
                async with self.table.lock:
                    state = await self.table.locked_state()
                    if not commit.is_in(state):
                        await claims.own(state)
                    self.table.remember(await self.table.workers.run(commit.attempt, state))
            except (TableReplacedError, TableMissingError):
                self.table.forget()
                raise
            except (ClaimsLostError, FilesTooOldError):
                self.table.forget()
                if doubt is not None:  # an attempt may still come through: no second one
                    refuse(unnamed(prepared.members), as_lakegate_error(doubt, self.table.name))
                raise
            except Exception as error:
                self.table.forget()
                if attempt + 1 >= self._attempts(error) or clock.monotonic() > give_up_at:
                    raise
                if not isinstance(error, CommitFailedException):
                    doubt = error
                log.info(
                    "Commit to %s, attempt %d: %s", self.table.name, attempt + 1, described(error)
                )
                await asyncio.sleep(backoff_seconds(attempt))
            else:
                self.commits += 1
                self._own_snapshots.append(commit.snapshot_id)
                await self._acknowledge(prepared, claims, str(commit.snapshot_id))
                self._tidy(state)
                return

    def _tidy(self, state: TableState) -> None:
        """Delete old metadata files beside the next commits."""
        if due := self.table.old_metadata.due():
            tidying = asyncio.create_task(self.table.workers.run(delete_files, state.io, due))
            self._tidying.add(tidying)
            tidying.add_done_callback(self._tidying.discard)

    def _attempts(self, error: Exception) -> int:
        if isinstance(error, RETRYABLE):
            return self._policy.attempts
        return min(OTHER_ATTEMPTS, self._policy.attempts)


class _Commit:
    """The commit of one group, over all its attempts."""

    def __init__(
        self,
        prepared: PreparedGroup,
        policy: CommitPolicy,
        own_snapshots: deque[int],
        looked_for: LookedFor,
    ) -> None:
        self.id = str(uuid.uuid4())
        self._prepared = prepared
        self._policy = policy
        self._own_snapshots = own_snapshots
        self._looked_for = looked_for
        self._append: Append | None = None

    @property
    def attempted(self) -> bool:
        """Whether the catalog has been asked to make the snapshot."""
        return self._append is not None

    @property
    def snapshot_id(self) -> int:
        """The snapshot that an attempt has made."""
        assert self._append is not None  # noqa: S101 - only asked after an attempt
        return self._append.snapshot_id

    def is_in(self, state: TableState) -> bool:
        """Whether an attempt that seemed to fail had come through."""
        return (
            self._append is not None
            and state.metadata.snapshot_by_id(self._append.snapshot_id) is not None
        )

    def attempt(self, state: TableState) -> TableState:
        """Try once, on top of `state`. Blocks."""
        written_for = self._prepared.table
        if written_for is not None and state.uuid != written_for.uuid:
            raise TableReplacedError
        if self.is_in(state):
            return state
        if self._append is None:
            self._append = new_append(
                state, self._prepared.files, self.id, self._prepared.begun_under
            )
        now_ms = clock.now_ms()
        expired = self._policy.retention.expired(state.metadata, self._own_snapshots, now_ms)
        return self._append.commit(state, self._looked_for.removable(state.metadata, expired))
