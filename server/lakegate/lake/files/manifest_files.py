"""Manifests and manifest lists as files (Iceberg table spec, "Manifests", "Manifest Lists")."""

import threading
from collections.abc import Sequence
from functools import cache

from cachetools import LRUCache
from pydantic_core import to_json
from pyiceberg.io import OutputFile
from pyiceberg.manifest import (
    DEFAULT_READ_VERSION,
    MANIFEST_LIST_FILE_SCHEMAS,
    UNASSIGNED_SEQ,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    construct_partition_summaries,
    data_file_with_partition,
    manifest_entry_schema_with_data_file,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import TableVersion

from lakegate.lake.catalog.usable_properties import avro_codec
from lakegate.lake.files.avro import Layout, write_file
from lakegate.lake.files.per_schema import PerSchema

# The number of cached records, of about 300 bytes each. A manifest list repeats most records of
# the one before it.
MAX_CACHED_RECORDS = 20_000

_manifest_layouts = PerSchema[Layout]()


def write_manifest(
    output: OutputFile,
    metadata: TableMetadata,
    spec_id: int,
    snapshot_id: int,
    entries: Sequence[ManifestEntry],
) -> ManifestFile:
    """Write a manifest of data files, all of one partition spec, for the snapshot that adds it."""
    layout = _manifest_layouts.get(
        metadata,
        spec_id,
        lambda schema, spec: _manifest_layout(schema, spec, metadata.format_version),
    )
    records = (layout.encode(entry) for entry in entries)
    length = write_file(output, layout, {}, avro_codec(metadata.properties), records)
    added, existing, deleted = (
        [entry.data_file for entry in entries if entry.status == status]
        for status in (
            ManifestEntryStatus.ADDED,
            ManifestEntryStatus.EXISTING,
            ManifestEntryStatus.DELETED,
        )
    )
    return ManifestFile.from_args(
        manifest_path=output.location,
        manifest_length=length,
        partition_spec_id=spec_id,
        content=ManifestContent.DATA,
        sequence_number=UNASSIGNED_SEQ,
        min_sequence_number=_min_sequence_number(entries),
        added_snapshot_id=snapshot_id,
        added_files_count=len(added),
        existing_files_count=len(existing),
        deleted_files_count=len(deleted),
        added_rows_count=sum(file.record_count for file in added),
        existing_rows_count=sum(file.record_count for file in existing),
        deleted_rows_count=sum(file.record_count for file in deleted),
        partitions=construct_partition_summaries(
            metadata.specs()[spec_id],
            metadata.schema(),
            [entry.data_file.partition for entry in entries],
        ),
        key_metadata=None,
    )


def write_manifest_list(
    output: OutputFile,
    metadata: TableMetadata,
    snapshot_id: int,
    manifests: Sequence[ManifestFile],
) -> None:
    """Write the manifest list of the snapshot after the table's current one.

    The manifests have their sequence numbers.
    """
    version = metadata.format_version
    parent = metadata.current_snapshot_id
    header = {
        "snapshot-id": str(snapshot_id),
        "parent-snapshot-id": str(parent) if parent is not None else "null",
    }
    if version > 1:
        header["sequence-number"] = str(metadata.next_sequence_number())
    records = (_records.encoded(manifest, version) for manifest in manifests)
    write_file(output, _list_layout(version), header, avro_codec(metadata.properties), records)


class _Records:
    """A cache of the records of manifests in manifest lists. Thread-safe."""

    def __init__(self) -> None:
        self._kept: LRUCache[str, tuple[ManifestFile, TableVersion, bytes]] = LRUCache(
            MAX_CACHED_RECORDS
        )
        self._lock = threading.Lock()

    def encoded(self, manifest: ManifestFile, version: TableVersion) -> bytes:
        """Return the record of a manifest, which does not change."""
        with self._lock:
            kept = self._kept.get(manifest.manifest_path)
        if kept is not None and kept[0] is manifest and kept[1] == version:
            return kept[2]
        record = _list_layout(version).encode(manifest)
        with self._lock:
            self._kept[manifest.manifest_path] = manifest, version, record
        return record


_records = _Records()


def _manifest_layout(schema: Schema, spec: PartitionSpec, version: TableVersion) -> Layout:
    partition = spec.partition_type(schema)
    record, file = (
        manifest_entry_schema_with_data_file(each, data_file_with_partition(partition, each))
        for each in (DEFAULT_READ_VERSION, version)
    )
    header = {
        "schema": schema.model_dump_json(),
        "partition-spec": to_json(spec.fields).decode(),
        "partition-spec-id": str(spec.spec_id),
        "format-version": str(version),
    }
    if version > 1:
        header["content"] = "data"
    return Layout.of(record, file, "manifest_entry", header)


@cache
def _list_layout(version: TableVersion) -> Layout:
    schemas = MANIFEST_LIST_FILE_SCHEMAS
    header = {"format-version": str(version)}
    return Layout.of(schemas[DEFAULT_READ_VERSION], schemas[version], "manifest_file", header)


def _min_sequence_number(entries: Sequence[ManifestEntry]) -> int:
    """Return the lowest sequence number of the live entries that have one."""
    numbers = [
        entry.sequence_number
        for entry in entries
        if entry.status != ManifestEntryStatus.DELETED and entry.sequence_number is not None
    ]
    return min(numbers, default=UNASSIGNED_SEQ)
