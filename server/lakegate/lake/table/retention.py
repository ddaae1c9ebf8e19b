"""Retention: which snapshots leave the metadata with the next commit.

Iceberg checks a DELETE, MERGE or OPTIMIZE for conflicts along the chain of snapshots back to
the one that the statement began with. So each snapshot stays for a time, however many follow.
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

# A snapshot in the metadata costs each commit some 10 µs of processor time on the embedded
# catalog, 45 on a REST catalog, whose answers have all of them, and 700 bytes. With this much
# between commits that costs a fifth of a core, or somewhat less than one.
SECONDS_PER_SNAPSHOT = 50e-6


@dataclass(frozen=True, slots=True)
class Retention:
    """How many snapshots a table keeps, where Lakegate maintains it.

    `count`: so many stay until they are too old for the table's properties. Beyond that, this
    server removes its own when they are `least_age_ms` old, those of others only when they are
    `others_age_ms` old: another server may still be looking for its own.
    """

    count: int = 100
    least_age_ms: int = 60_000
    others_age_ms: int = 600_000

    def expired(self, metadata: TableMetadata, own: Collection[int], now_ms: int) -> list[int]:
        """Name the snapshots to remove, oldest first. What a branch or a tag needs stays.

        The retention of the branch `main` and `history.expire.*` of the table are respected:
        where the age is set, it alone decides and `count` does not. A table of others keeps
        everything.
        """
        if not is_managed(metadata) or not may_collect_garbage(metadata):
            return []
        least, age_ms = _of_main(metadata)
        most = self.count if age_ms is None else None
        if not self._may_expire(metadata, age_ms, now_ms):
            return []
        default = TableProperties.MAX_SNAPSHOT_AGE_MS_DEFAULT
        oldest_ms = now_ms - (default if age_ms is None else age_ms)
        needed = set(_referenced(metadata))
        return [
            snapshot.snapshot_id
            for rank, snapshot in reversed(list(enumerate(_newest_first(metadata))))
            if rank >= least
            and snapshot.snapshot_id not in needed
            and (
                snapshot.timestamp_ms < oldest_ms
                or (most is not None and rank >= most and self._settled(snapshot, own, now_ms))
            )
        ]

    def _may_expire(self, metadata: TableMetadata, age_ms: int | None, now_ms: int) -> bool:
        """Whether any snapshot is old enough, which for most commits none is."""
        if age_ms is None:
            age_ms = min(self.least_age_ms, self.others_age_ms)
        oldest_ms = min(map(attrgetter("timestamp_ms"), metadata.snapshots), default=now_ms)
        return bool(oldest_ms <= now_ms - age_ms)

    def _settled(self, snapshot: Snapshot, own: Collection[int], now_ms: int) -> bool:
        age_ms = now_ms - snapshot.timestamp_ms
        if age_ms > self.others_age_ms:
            return True
        return age_ms >= self.least_age_ms and snapshot.snapshot_id in own


def least_interval_seconds(metadata: TableMetadata) -> float:
    """Return how long to wait between two commits of a busy table, for what a commit costs.

    That bounds the number of snapshots too: where each stays for T seconds, there are at most
    the square root of T / `SECONDS_PER_SNAPSHOT`, 1,100 in a minute.
    """
    return len(metadata.snapshots) * SECONDS_PER_SNAPSHOT


def _of_main(metadata: TableMetadata) -> tuple[int, int | None]:
    """Return how many snapshots of `main` stay at least, and until which age in milliseconds.

    What the branch itself says comes before the table's properties (Iceberg table spec,
    "Snapshot Retention Policy").
    """
    properties, main = metadata.properties, metadata.refs.get(MAIN_BRANCH)
    least = number(properties, TableProperties.MIN_SNAPSHOTS_TO_KEEP, 1)
    age_ms = number(properties, TableProperties.MAX_SNAPSHOT_AGE_MS, None)
    if main is None:
        return least, age_ms
    return main.min_snapshots_to_keep or least, main.max_snapshot_age_ms or age_ms


def _newest_first(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Name all snapshots, those of `main` in the order in which they came from each other.

    Neither clocks nor sequence numbers tell that order: tables of version 1 have none of these.
    """
    main = list(lineage(metadata))
    known = {snapshot.snapshot_id for snapshot in main}
    others = [each for each in reversed(metadata.snapshots) if each.snapshot_id not in known]
    return heapq.merge(main, others, key=lambda snapshot: snapshot.timestamp_ms, reverse=True)


def _referenced(metadata: TableMetadata) -> Iterator[int]:
    """Name the snapshots of tags and of branches, with all that other branches came from."""
    for name, ref in metadata.refs.items():
        yield ref.snapshot_id
        if name != MAIN_BRANCH and ref.snapshot_ref_type == SnapshotRefType.BRANCH:
            head = metadata.snapshot_by_id(ref.snapshot_id)
            yield from (snapshot.snapshot_id for snapshot in ancestors_of(head, metadata))
