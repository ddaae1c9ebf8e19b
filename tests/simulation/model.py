"""The invariants of every version of every table.

Each batch that is sent, each answer, and each version of a table are reported to the model, a
version at the moment when it becomes the current one. The model checks them at once, so that a
violation names the commit that caused it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.table.metadata import TableMetadata
from tests.simulation.hosts import HOST
from tests.simulation.reading import BrokenTableError, Reader, Row
from tests.simulation.storage import Storage
from tests.simulation.world import LONGEST_PAUSE_SECONDS, World

from lakegate.model import Acknowledgement, StreamPosition

Identifier = tuple[str, ...]


@dataclass(eq=False, slots=True)
class Sent:
    """A batch and its outcome.

    `rows`: the values of its columns, by label. `in_doubt`: an answer was lost, or was
    `outcome_unknown`. `landed`: the table versions that added its rows, by table UUID.
    """

    rows: Mapping[str, Mapping[str, str]]
    key: str | None = None
    position: StreamPosition | None = None
    under_way: int = 0
    in_doubt: bool = False
    acknowledged: bool = False
    landed: dict[str, "Version"] = field(default_factory=dict)

    @property
    def is_keyed(self) -> bool:
        return self.key is not None or self.position is not None

    def __str__(self) -> str:
        return f"{'+'.join(self.rows)}"


@dataclass(eq=False, slots=True)
class Version:
    """A version of a table, the current one in the catalog since `since`."""

    table: Identifier
    metadata: TableMetadata
    location: str
    since: float
    rows: dict[str, Row] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)

    @property
    def uuid(self) -> str:
        return str(self.metadata.table_uuid)

    @property
    def is_managed(self) -> bool:
        """Whether Lakegate maintains the table, as the documentation says."""
        return self.metadata.properties.get("lakegate.managed") == "true"


class Model:
    """The versions of the tables, and the batches with their answers."""

    def __init__(self, world: World, storage: Storage) -> None:
        self.world = world
        self.reader = Reader(storage)
        self.current: dict[Identifier, Version] = {}
        self._storage = storage
        self._batches: dict[str, Sent] = {}
        self._by_snapshot: dict[int, Version] = {}
        self._dropped_at: dict[str, float] = {}
        self._deleted: set[str] = set()
        self._next_offset: dict[tuple[str, str], int] = {}

    # Reports of catalogs

    def moved(self, table: Identifier, metadata: TableMetadata, location: str) -> None:
        """Record a new current version in the catalog, and check it."""
        before = self.current.get(table)
        version = Version(table, metadata, location, self.world.loop.now)
        self.current[table] = version
        snapshot = metadata.current_snapshot()
        self.world.say(
            f"{'.'.join(table)} is snapshot {snapshot.snapshot_id if snapshot else None}, "
            f"schema {metadata.current_schema_id}, spec {metadata.default_spec_id}"
        )
        try:
            self._must_exist(location)
            version.rows = self.reader.rows(metadata, snapshot)
        except (BrokenTableError, FileNotFoundError) as error:
            self.world.violation(f"{'.'.join(table)} cannot be read: {error}")
            return
        if snapshot is not None:
            self._by_snapshot.setdefault(snapshot.snapshot_id, version)
        self._compare(before or Version(table, metadata, location, 0.0), version)

    def dropped(self, table: Identifier) -> None:
        """Record that a table was dropped."""
        version = self.current.pop(table)
        self._dropped_at[version.uuid] = self.world.loop.now
        self.world.say(f"{'.'.join(table)} is dropped")

    def about_to_delete(self, path: str) -> None:
        """Check that the file may be deleted."""
        host = HOST.get()
        for version in self.current.values():
            if path in self.files(version):
                self.world.violation(f"{path} is deleted, and the table needs it")
            foreign = not version.is_managed
            if foreign and path.startswith(f"{version.metadata.location}/") and host is not None:
                self.world.violation(f"{path} is deleted, and is not ours to tidy")

    def files(self, version: Version) -> set[str]:
        """Return the files that engines need to read all snapshots of a version."""
        if not version.files:
            version.files = {version.location, *self.reader.files(version.metadata.snapshots)}
        return version.files

    # Reports of senders

    def sending(self, sent: Sent) -> None:
        """Record an attempt to send a batch."""
        sent.under_way += 1
        self._batches.update(dict.fromkeys(sent.rows, sent))

    def doubted(self, sent: Sent) -> None:
        """Record that the outcome of a batch is unknown."""
        sent.under_way -= 1
        sent.in_doubt = True

    def refused(self, sent: Sent, why: str) -> None:
        """Check that no row of a refused batch is in the table. Later commits are checked too."""
        sent.under_way -= 1
        there = [v for uuid, v in sent.landed.items() if uuid not in self._dropped_at]
        if there and not (sent.in_doubt or sent.acknowledged):
            self.world.violation(f"{sent} was refused ({why}), and is there")

    def acknowledged(self, sent: Sent, answer: Acknowledgement, asked_at: float) -> None:
        """Check that the rows are in the acknowledged snapshot."""
        sent.under_way -= 1
        sent.acknowledged = True
        version = self._by_snapshot.get(int(answer.snapshot_id or 0))
        if version is None:
            self.world.violation(f"{sent} was acknowledged with a snapshot that never was")
            return
        if missing := set(sent.rows) - set(version.rows) - self._deleted:
            self.world.violation(f"{missing} are acknowledged, and not in the snapshot")
        if sent.is_keyed:  # it may have joined an earlier attempt
            asked_at -= LONGEST_PAUSE_SECONDS
        if self._dropped_at.get(version.uuid, asked_at) < asked_at:
            self.world.violation(f"{sent} was acknowledged for a table that was dropped before")

    def applied(self, sent: Sent) -> None:
        """Check the answer of a server that the stream is past this batch."""
        sent.acknowledged = True
        if not sent.landed:
            self.world.violation(f"{sent} counts in its stream, and was never there")

    def check_at_the_end(self) -> None:
        """Check all acknowledged batches again, and that every referenced file exists."""
        for version in self.current.values():
            try:
                for path in self.files(version):
                    self._must_exist(path)
                version.rows = self.reader.rows(
                    version.metadata, version.metadata.current_snapshot()
                )
            except (BrokenTableError, FileNotFoundError) as error:
                self.world.violation(f"{'.'.join(version.table)} cannot be read: {error}")
        there = {label for version in self.current.values() for label in version.rows}
        for label, sent in self._batches.items():
            dropped = all(uuid in self._dropped_at for uuid in sent.landed)
            if sent.acknowledged and label not in there | self._deleted and not dropped:
                self.world.violation(f"{label} was acknowledged, and is not there at the end")

    # Checks of a version against the one before it

    def _compare(self, before: Version, after: Version) -> None:
        if before.uuid != after.uuid:
            before = Version(after.table, after.metadata, after.location, 0.0)
        self._compare_rows(before, after)
        landed = [label for label in after.rows if label not in before.rows]
        batches = {id(sent): sent for label in landed if (sent := self._batches.get(label))}
        in_order = sorted(batches.values(), key=lambda s: s.position.offset if s.position else -1)
        for sent in in_order:
            self._check_landed(sent, after)
        self._check_snapshots_kept(before, after)

    def _compare_rows(self, before: Version, after: Version) -> None:
        ids = {column.field_id for column in after.metadata.schema().fields}
        gone = set(before.rows) - set(after.rows)
        if HOST.get() is None:  # other engines delete rows
            self._deleted |= gone
        elif gone:
            self.world.violation(f"a commit has erased {sorted(gone)}")
        for label, row in before.rows.items():
            for column in ids & set(row):
                if label in after.rows and after.rows[label].get(column) != row[column]:
                    self.world.violation(f"{label} has lost the value of column {column}")

    def _check_landed(self, sent: Sent, version: Version) -> None:
        self.world.say(f"landed: {sent}")
        if not sent.under_way and not sent.in_doubt:
            self.world.violation(f"{sent} was refused, and came later")
        if version.uuid in sent.landed:
            self.world.violation(f"{sent} came a second time")
        sent.landed[version.uuid] = version
        for label, values in sent.rows.items():
            if label not in version.rows:
                self.world.violation(f"of {sent} only a part came")
            else:
                self._check_values(label, values, version)
        if sent.position is not None:
            self._check_stream(sent.position, version)

    def _check_values(self, label: str, values: Mapping[str, Any], version: Version) -> None:
        columns = {c.name: c.field_id for c in version.metadata.schema().fields}
        for name, value in values.items():
            if name not in columns:
                self.world.violation(f"{label} came, and its column {name} is not there")
            elif version.rows[label].get(columns[name]) != value:
                self.world.violation(f"{label} came without the value of {name}")

    def _check_stream(self, position: StreamPosition, version: Version) -> None:
        stream = (version.uuid, position.stream_id)
        expected = self._next_offset.get(stream, 0)
        if position.offset != expected:
            self.world.violation(f"{position} came, where {expected} was to come")
        self._next_offset[stream] = position.offset + 1

    def _check_snapshots_kept(self, before: Version, after: Version) -> None:
        if after.is_managed or HOST.get() is None:
            return
        if expired := _snapshots(before) - _snapshots(after):
            self.world.violation(f"snapshots {expired} were expired, and are not ours to tidy")

    def _must_exist(self, path: str) -> None:
        if path not in self._storage.files:
            raise BrokenTableError(f"{path} is gone")


def _snapshots(version: Version) -> set[int]:
    return {snapshot.snapshot_id for snapshot in version.metadata.snapshots}
