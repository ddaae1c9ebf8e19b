"""Metadata files, written at the cost of what is new in them.

Most of a table's metadata is its snapshots, and a snapshot never changes (Iceberg table spec,
"Snapshots"): each is serialized once, and its JSON is kept for the next metadata file.
"""

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable

from pyiceberg.io import OutputFile
from pyiceberg.serializers import Compressor
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot, SnapshotLogEntry
from pyiceberg.utils.config import Config

# Tables whose JSON is kept: each has some 700 bytes for a snapshot.
KEPT_TABLES = 64

# By id: the format version that it was written for, the snapshot, its JSON.
_Known = dict[int, tuple[int, Snapshot, str]]


class MetadataWriter:
    """Writes the metadata files of any number of tables, from any thread."""

    def __init__(self) -> None:
        """Begin with nothing kept."""
        # As PyIceberg: with the legacy setting, a missing current snapshot is written as -1.
        self._exclude_none = not Config().get_bool("legacy-current-snapshot-id")
        self._tables: OrderedDict[uuid.UUID, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def write(self, metadata: TableMetadata, output: OutputFile) -> None:
        """Write `metadata` to a new file, as PyIceberg's `ToOutputFile.table_metadata` does."""
        compress = Compressor.get_compressor(output.location).bytes_compressor()
        data = compress(self._json(metadata).encode())
        with output.create() as stream:
            stream.write(data)

    def _json(self, metadata: TableMetadata) -> str:
        known = self._known(metadata.table_uuid)
        version = metadata.format_version
        snapshots = {
            each.snapshot_id: self._snapshot_json(each, known, version)
            for each in metadata.snapshots
        }
        self._keep(metadata.table_uuid, snapshots)
        json = self._dumped(metadata.model_copy(update={"snapshots": [], "snapshot_log": []}))
        json = _with_items(json, "snapshots", (json for _, _, json in snapshots.values()))
        return _with_items(json, "snapshot-log", map(_log_entry_json, metadata.snapshot_log))

    def _snapshot_json(
        self, snapshot: Snapshot, known: _Known, version: int
    ) -> tuple[int, Snapshot, str]:
        earlier = known.get(snapshot.snapshot_id)
        if earlier is not None and earlier[0] == version and earlier[1] is snapshot:
            return earlier
        # Tables of version 1 have no sequence numbers (Iceberg table spec, "Snapshots").
        unnumbered = snapshot.model_copy(update={"sequence_number": None})
        return version, snapshot, self._dumped(unnumbered if version == 1 else snapshot)

    def _dumped(self, model: TableMetadata | Snapshot) -> str:
        return model.model_dump_json(exclude_none=self._exclude_none)

    def _known(self, table: uuid.UUID) -> _Known:
        with self._lock:
            return self._tables.get(table, {})

    def _keep(self, table: uuid.UUID, snapshots: _Known) -> None:
        with self._lock:
            self._tables[table] = snapshots
            self._tables.move_to_end(table)
            if len(self._tables) > KEPT_TABLES:
                self._tables.popitem(last=False)


def _log_entry_json(entry: SnapshotLogEntry) -> str:
    return f'{{"snapshot-id":{entry.snapshot_id},"timestamp-ms":{entry.timestamp_ms}}}'


def _with_items(json: str, name: str, items: Iterable[str]) -> str:
    """Fill the empty array `name` of a JSON object.

    Quotes within strings are escaped in JSON, so no string can look like the array.
    """
    empty = f'"{name}":[]'
    before, found, after = json.partition(empty)
    if not found:
        raise ValueError(f"The metadata has no {name}")
    return f'{before}"{name}":[{",".join(items)}]{after}'
