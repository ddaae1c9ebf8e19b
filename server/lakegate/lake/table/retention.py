"""Retention: which snapshots the next commit expires.

Iceberg checks a DELETE, MERGE or OPTIMIZE for conflicts along the ancestors of the current
snapshot, back to the one that the statement started from. So each snapshot is kept for a minimum
time, regardless of the number of snapshots after it.
"""

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import attrgetter

from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from lakegate.lake.catalog.numeric_properties import number
from lakegate.lake.table.lineage import lineage
from lakegate.lake.table.ownership import is_managed, may_collect_garbage

# Each snapshot in the metadata adds 700 bytes and a microsecond of processor time to a commit on
# the embedded catalog, and 45 µs on a REST catalog, whose answers have all snapshots. With this
# pause between commits that is a fiftieth of a core, or somewhat less than one.
SECONDS_PER_SNAPSHOT = 50e-6


@dataclass(frozen=True, slots=True)
class Retention:
    """How many snapshots are kept in a table that Lakegate maintains.

    `count`: the newest ones are kept until the table's properties expire them. Of the others, this
    server expires its own after `min_age_ms`, and those of other writers after `others_age_ms`:
    another server may not have found its own yet.
    """

    count: int = 100
    min_age_ms: int = 60_000
    others_age_ms: int = 600_000

    def expired(self, metadata: TableMetadata, own: Collection[int], now_ms: int) -> list[int]:
        """Return the snapshots to expire, oldest first. Those of branches and tags are kept.

        The retention of the branch `main` and the properties `history.expire.*` of the table come
        first: if an age is set, `count` has no effect. A table that is not managed keeps all.
        """
        if not is_managed(metadata) or not may_collect_garbage(metadata):
            return []
        min_count, age_ms = _retention_of_main(metadata)
        max_count = self.count if age_ms is None else None
        if not self._may_expire(metadata, age_ms, now_ms):
            return []
        default = TableProperties.MAX_SNAPSHOT_AGE_MS_DEFAULT
        oldest_ms = now_ms - (default if age_ms is None else age_ms)
        referenced = set(_referenced(metadata))
        return [
            snapshot.snapshot_id
            for rank, snapshot in reversed(list(enumerate(_newest_first(metadata))))
            if rank >= min_count
            and snapshot.snapshot_id not in referenced
            and (
                snapshot.timestamp_ms < oldest_ms
                or (
                    max_count is not None
                    and rank >= max_count
                    and self._is_old_enough(snapshot, own, now_ms)
                )
            )
        ]

    def _may_expire(self, metadata: TableMetadata, age_ms: int | None, now_ms: int) -> bool:
        """Whether any snapshot is old enough. For most commits none is."""
        if age_ms is None:
            age_ms = min(self.min_age_ms, self.others_age_ms)
        oldest_ms = min(map(attrgetter("timestamp_ms"), metadata.snapshots), default=now_ms)
        return bool(oldest_ms <= now_ms - age_ms)

    def _is_old_enough(self, snapshot: Snapshot, own: Collection[int], now_ms: int) -> bool:
        age_ms = now_ms - snapshot.timestamp_ms
        if age_ms > self.others_age_ms:
            return True
        return age_ms >= self.min_age_ms and snapshot.snapshot_id in own


def min_interval_seconds(metadata: TableMetadata) -> float:
    """Return the minimum time between two commits of a busy table.

    It grows with the cost of a commit, and bounds the number of snapshots: if each is kept for T
    seconds, there are at most sqrt(T / `SECONDS_PER_SNAPSHOT`), which is 1,100 for a minute.
    """
    return len(metadata.snapshots) * SECONDS_PER_SNAPSHOT


def _retention_of_main(metadata: TableMetadata) -> tuple[int, int | None]:
    """Return the minimum number of snapshots of `main`, and their maximum age in milliseconds.

    The settings of the branch come before the table's properties (Iceberg table spec, "Snapshot
    Retention Policy").
    """
    properties, main = metadata.properties, metadata.refs.get(MAIN_BRANCH)
    min_count = number(properties, TableProperties.MIN_SNAPSHOTS_TO_KEEP, 1)
    age_ms = number(properties, TableProperties.MAX_SNAPSHOT_AGE_MS, None)
    if main is None:
        return min_count, age_ms
    return main.min_snapshots_to_keep or min_count, main.max_snapshot_age_ms or age_ms


def _newest_first(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield all snapshots, newest first, those of `main` in the order of their ancestry.

    Clocks do not give that order, nor do sequence numbers: tables of version 1 have none.
    """
    main = list(lineage(metadata))
    known = {snapshot.snapshot_id for snapshot in main}
    others = [each for each in reversed(metadata.snapshots) if each.snapshot_id not in known]
    return heapq.merge(main, others, key=lambda snapshot: snapshot.timestamp_ms, reverse=True)


def _referenced(metadata: TableMetadata) -> Iterator[int]:
    """Yield the snapshots of tags and branches, and the ancestors of branches other than `main`."""
    for name, ref in metadata.refs.items():
        yield ref.snapshot_id
        if name != MAIN_BRANCH and ref.snapshot_ref_type == SnapshotRefType.BRANCH:
            head = metadata.snapshot_by_id(ref.snapshot_id)
            yield from (snapshot.snapshot_id for snapshot in ancestors_of(head, metadata))
