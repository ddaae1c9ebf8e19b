"""The commit of one prepared group: attempts until its rows are in a snapshot, or are refused.

What happens at a conflict: the table is read again, and the same data files are committed on top
of it. They are written again only where they no longer fit the table, or have become too old.

What happens when the catalog does not answer: the commit is *in doubt* from then on. The table is
read again and looked through for the snapshot. If it is there, the group is committed. If the
history of the table shows that it is not there, the attempt can be repeated: both attempts have
the same snapshot id and are guarded by the snapshot that they are based on, so at most one of
them comes through. If neither can be shown, or the attempts end, the outcome is unknown.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.table.metadata import TableMetadata

from lakegate import clock
from lakegate.concurrency.retry import GIVE_UP_SECONDS, backoff_seconds
from lakegate.errors import LakegateError
from lakegate.lake.commit.claims import Claims, ClaimsLostError
from lakegate.lake.commit.exactly_once import ExactlyOnce
from lakegate.lake.commit.group import Member, PreparedGroup, named, refuse, unnamed
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
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.state import TableState, load_state

log = logging.getLogger(__name__)

# What is neither a conflict nor the catalog's fault is rarely cured by trying again.
OTHER_ATTEMPTS = 3
# The group cannot be committed as it is prepared, but its bodies can be prepared again.
_PREPARE_AGAIN = (
    ClaimsLostError,
    FilesTooOldError,
    TableChangedError,
    TableMissingError,
    TableReplacedError,
)


@dataclass(frozen=True, slots=True)
class CommitPolicy:
    """How commits happen: the settings of these names, the interval in seconds."""

    group_max_bytes: int
    interval_seconds: float
    attempts: int
    retention: Retention


class _HistoryExpiredError(Exception):
    """The table no longer shows whether an attempt of unknown outcome came through."""


class GroupCommit:
    """Commits one prepared group, over all its attempts."""

    def __init__(
        self,
        table: CachedTable,
        prepared: PreparedGroup,
        policy: CommitPolicy,
        once: ExactlyOnce,
        removable: RemovableSnapshots,
    ) -> None:
        """Commit `prepared` to `table`, and remove the snapshots that are `removable`."""
        # The snapshot that has the rows, once they are committed.
        self.snapshot_id: int | None = None
        self._id = str(uuid.uuid4())
        self._table = table
        self._prepared = prepared
        self._policy = policy
        self._claims: Claims = once.claims(self._id, prepared.rows)
        self._removable = removable
        self._append: Append | None = None
        self._given_up = False
        # The table's last sequence numbers when attempts of unknown outcome were made.
        self._doubtful: set[int] = set()

    async def run(self) -> Sequence[Member]:
        """Commit, and answer the members; return those that must be prepared again."""
        try:
            if self._prepared.files:
                await self._commit_files()
            elif self._prepared.rows:
                await self._acknowledge_without_rows()
        except LedgerUnavailableError as error:  # those without a key need no ledger
            refuse(named(self._prepared.members), self._refusal(error))
            return await self._prepare_again()
        except _PREPARE_AGAIN:
            return await self._prepare_again()
        except Exception as error:
            if not isinstance(error, (LakegateError, _HistoryExpiredError, *RETRYABLE)):
                log.exception("A commit to %s failed", self._table.name)
            await self._claims.abandon()
            refuse(self._prepared.members, self._refusal(error))
        return ()

    async def _prepare_again(self) -> Sequence[Member]:
        """Abandon the claims, and return the members that may be prepared again."""
        await self._claims.abandon()
        members = self._prepared.members
        if self._in_doubt:  # the attempt may still come through: the ledger alone can tell
            refuse(unnamed(members), outcome_unknown())
        for member in members:
            member.in_doubt = member.in_doubt or self._in_doubt
            member.sent = member.in_doubt
        return members

    def give_up(self) -> None:
        """Begin no further attempt."""
        self._given_up = True

    @property
    def _in_doubt(self) -> bool:
        return bool(self._doubtful)

    def _refusal(self, error: Exception) -> LakegateError:
        if self._in_doubt:
            log.warning("%s: the outcome is unknown: %s", self._table.name, described(error))
            return outcome_unknown()
        return as_lakegate_error(error, self._table.name, self._policy.attempts)

    async def _acknowledge_without_rows(self) -> None:
        try:
            state = await self._table.workers.run(load_state, self._table.catalog, self._table.name)
        except TableMissingError:
            state = None
        await self._claims.own(state)
        await self._acknowledge(state.snapshot_id if state else "")

    async def _acknowledge(self, snapshot_id: str) -> None:
        """Answer, then settle: whoever asks in between finds the commit by its id."""
        committed = self._prepared.committed(snapshot_id)
        self._prepared.acknowledge(committed)
        await self._claims.settle(committed)

    async def _commit_files(self) -> None:
        if len(self._prepared.rows) > 1:
            await self._table.workers.precedence.give_way()
        give_up_at = clock.monotonic() + GIVE_UP_SECONDS
        for attempt in range(self._policy.attempts):
            try:
                async with self._table.lock:
                    self.snapshot_id = await self._attempt()
            except (*_PREPARE_AGAIN, LedgerUnavailableError):
                self._table.forget()
                raise
            except Exception as error:
                self._table.forget()
                if attempt + 1 >= self._attempts(error) or clock.monotonic() > give_up_at:
                    if not await self._has_come_through():
                        raise
                    await self._acknowledge(str(self.snapshot_id))
                    return
                log.info(
                    "Commit to %s, attempt %d: %s", self._table.name, attempt + 1, described(error)
                )
                await asyncio.sleep(backoff_seconds(attempt))
            else:
                await self._acknowledge(str(self.snapshot_id))
                return

    async def _has_come_through(self) -> bool:
        """Look once more, after the last attempt."""
        if self._append is None:
            return False
        try:
            state = await self._table.workers.run(load_state, self._table.catalog, self._table.name)
        except Exception as error:  # noqa: BLE001 - the error of the attempt is the one to report
            log.debug("%s cannot be read: %s", self._table.name, described(error))
            return False
        if _has_snapshot(state.metadata, self._append.snapshot_id):
            self.snapshot_id = self._append.snapshot_id
        return self.snapshot_id is not None

    def _attempts(self, error: Exception) -> int:
        if isinstance(error, RETRYABLE):
            return self._policy.attempts
        if isinstance(error, (LakegateError, _HistoryExpiredError)):
            return 0
        return min(OTHER_ATTEMPTS, self._policy.attempts)

    async def _attempt(self) -> int:
        """Make one attempt, holding the lock of the table; return the snapshot with the rows."""
        state = await self._table.locked_state()
        if self._append is None or not _has_snapshot(state.metadata, self._append.snapshot_id):
            await self._claims.own(state)
            if self._given_up:
                raise draining()
            for member in self._prepared.members:
                member.sent = True
            state = await self._table.workers.run(self._commit_on, state)
        self._table.remember(state)
        assert self._append is not None  # noqa: S101 - made by the attempt
        return self._append.snapshot_id

    def _commit_on(self, state: TableState) -> TableState:
        """Commit on top of `state`. Blocks."""
        self._prepared.check_fits(state)
        metadata = state.metadata
        if not all(_shows_all_since(metadata, number) for number in self._doubtful):
            raise _HistoryExpiredError
        if self._append is None:
            prepared = self._prepared
            self._append = new_append(state, prepared.files, self._id, prepared.begun)
        try:
            return self._append.commit(state, self._removable.of(state))
        except CommitOutcomeUnknownError:
            self._doubtful.add(metadata.next_sequence_number() - 1)
            raise


def _has_snapshot(metadata: TableMetadata, snapshot_id: int) -> bool:
    return metadata.snapshot_by_id(snapshot_id) is not None


def _shows_all_since(metadata: TableMetadata, sequence_number: int) -> bool:
    """Whether every snapshot that was committed after `sequence_number` is in the metadata.

    Another engine may have expired some: then nobody can tell what was among them. Every
    commit takes the next number (Iceberg table spec, "Sequence Numbers"; not in version 1).
    """
    numbers = {snapshot.sequence_number for snapshot in metadata.snapshots}
    return metadata.format_version > 1 and numbers.issuperset(
        range(sequence_number + 1, metadata.next_sequence_number())
    )
