"""Writes metadata files; the cost of one is that of its new parts.

Most of a table's metadata is its snapshots, and a snapshot never changes (Iceberg table spec,
"Snapshots"): each is serialized once, and its JSON is cached for the next metadata file.
"""

import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cachetools import LRUCache
from pyiceberg.io import OutputFile
from pyiceberg.serializers import Compressor
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot, SnapshotLogEntry
from pyiceberg.utils.config import Config

# The number of tables whose JSON is cached. A snapshot takes about 700 bytes.
KEPT_TABLES = 64

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Array:
    """The immutable items of a JSON array, and the JSON of each."""

    items: Sequence[object] = ()
    json: Sequence[str] = ()

    def following(self, items: Sequence[Item], dump: Callable[[Item], str]) -> "_Array":
        """Return the array of `items`. `dump` serializes those that are not in this one."""
        first = items[0] if items else None
        start = next((at for at, each in enumerate(self.items) if each is first), 0)
        kept = len(self.items) - start
        # Lists compare identical items by identity.
        if items[:kept] == self.items[start:]:
            return _Array(items, [*self.json[start:], *map(dump, items[kept:])])
        known = dict(zip(map(id, self.items), self.json, strict=True))
        return _Array(items, [known.get(id(each)) or dump(each) for each in items])


@dataclass(frozen=True, slots=True)
class _Written:
    """The long arrays of a table's last metadata file."""

    format_version: int
    snapshots: _Array = _Array()
    log: _Array = _Array()


class MetadataWriter:
    """Writes the metadata files of any number of tables, from any thread."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        # As in PyIceberg: with the legacy setting, a missing current snapshot is written as -1.
        self._exclude_none = not Config().get_bool("legacy-current-snapshot-id")
        self._tables: LRUCache[uuid.UUID, _Written] = LRUCache(KEPT_TABLES)
        self._lock = threading.Lock()

    def write(self, metadata: TableMetadata, output: OutputFile) -> None:
        """Write `metadata` to a new file, as PyIceberg's `ToOutputFile.table_metadata` does."""
        compress = Compressor.get_compressor(output.location).bytes_compressor()
        data = compress(self._json(metadata).encode())
        with output.create() as stream:
            stream.write(data)

    def _json(self, metadata: TableMetadata) -> str:
        written = self._following(metadata)
        with self._lock:
            self._tables[metadata.table_uuid] = written
        json = self._dumped(metadata.model_copy(update={"snapshots": [], "snapshot_log": []}))
        json = _with_items(json, "snapshot-log", written.log)
        return _with_items(json, "snapshots", written.snapshots)

    def _following(self, metadata: TableMetadata) -> _Written:
        version = metadata.format_version
        with self._lock:
            before = self._tables.get(metadata.table_uuid)
        if before is None or before.format_version != version:
            before = _Written(version)

        def dump(snapshot: Snapshot) -> str:
            if version == 1:  # has no sequence numbers (Iceberg table spec, "Snapshots")
                snapshot = snapshot.model_copy(update={"sequence_number": None})
            return self._dumped(snapshot)

        return _Written(
            version,
            before.snapshots.following(metadata.snapshots, dump),
            before.log.following(metadata.snapshot_log, _log_entry_json),
        )

    def _dumped(self, model: TableMetadata | Snapshot) -> str:
        return model.model_dump_json(exclude_none=self._exclude_none)


def _log_entry_json(entry: SnapshotLogEntry) -> str:
    return f'{{"snapshot-id":{entry.snapshot_id},"timestamp-ms":{entry.timestamp_ms}}}'


def _with_items(json: str, name: str, array: _Array) -> str:
    """Fill the empty array `name` of a JSON object.

    Quotes in strings are escaped in JSON, so no string can match the array.
    """
    before, found, after = json.partition(f'"{name}":[]')
    if not found:
        raise ValueError(f"The metadata has no {name}")
    return "".join((before, f'"{name}":[', ",".join(array.json), "]", after))
