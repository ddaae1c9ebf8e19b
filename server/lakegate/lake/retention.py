"""Retention: which snapshots leave the metadata with the next commit."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, ancestors_of

GC_ENABLED = "gc.enabled"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many snapshots a table keeps.

    `count`: the most that this server lets stand. It removes its own snapshots
    beyond that at once, those of others only when they are `others_age_ms` old:
    another server may still be looking for its own.
    """

    count: int = 100
    others_age_ms: int = 600_000

    def expired(self, metadata: TableMetadata, own: Collection[int], now_ms: int) -> list[int]:
        """Name the snapshots to remove, oldest first. What a branch or a tag needs stays.

        `history.expire.*` of the table are respected: where the age is set,
        it alone decides and `count` does not.
        """
        properties = metadata.properties
        if properties.get(GC_ENABLED, "true").lower() == "false":
            return []
        least = int(properties.get(TableProperties.MIN_SNAPSHOTS_TO_KEEP, 1))
        most = None if TableProperties.MAX_SNAPSHOT_AGE_MS in properties else self.count
        oldest_ms = now_ms - int(
            properties.get(
                TableProperties.MAX_SNAPSHOT_AGE_MS, TableProperties.MAX_SNAPSHOT_AGE_MS_DEFAULT
            )
        )
        needed = set(_referenced(metadata))
        newest_first = sorted(
            metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0, reverse=True
        )
        return [
            snapshot.snapshot_id
            for rank, snapshot in reversed(list(enumerate(newest_first)))
            if rank >= least
            and snapshot.snapshot_id not in needed
            and (
                snapshot.timestamp_ms < oldest_ms
                or (most is not None and rank >= most and self._settled(snapshot, own, now_ms))
            )
        ]

    def _settled(self, snapshot: Snapshot, own: Collection[int], now_ms: int) -> bool:
        return snapshot.snapshot_id in own or snapshot.timestamp_ms < now_ms - self.others_age_ms


def _referenced(metadata: TableMetadata) -> Iterator[int]:
    """Name the snapshots of tags and of branches, with all that other branches came from."""
    for name, ref in metadata.refs.items():
        yield ref.snapshot_id
        if name != MAIN_BRANCH and ref.snapshot_ref_type == SnapshotRefType.BRANCH:
            head = metadata.snapshot_by_id(ref.snapshot_id)
            yield from (snapshot.snapshot_id for snapshot in ancestors_of(head, metadata))
