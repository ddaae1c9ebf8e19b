"""One attempt at a snapshot: manifests, manifest list, and one commit at the catalog.

Iceberg table spec, "Snapshots", "Manifests", "Optimistic Concurrency". Data files and the manifest
of the added files are written once and used by all attempts; what depends on the parent (manifest
list, totals) is written by each attempt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pyiceberg.manifest import (
    UNASSIGNED_SEQ,
    DataFile,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.table import TableProperties
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Operation, Snapshot, SnapshotSummaryCollector, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    AssertRefSnapshotId,
    RemoveSnapshotsUpdate,
    SetSnapshotRefUpdate,
    TableUpdate,
)

from lakegate import clock
from lakegate.lake.catalog.numeric_properties import number
from lakegate.lake.catalog.pyiceberg_private import latest_ms
from lakegate.lake.commit.fence import Baseline, check_fence
from lakegate.lake.failures import CommitOutcomeUnknownError
from lakegate.lake.files.manifest_files import write_manifest, write_manifest_list
from lakegate.lake.files.manifests import merged
from lakegate.lake.files.names import own_name
from lakegate.lake.ledger.entries import COMMIT_ID
from lakegate.lake.table.change import change_table
from lakegate.lake.table.state import SnapshotManifests, TableState

# Totals of the table in a snapshot's summary, with the counts that are added and subtracted.
_TOTALS = (
    ("total-data-files", "added-data-files", "deleted-data-files"),
    ("total-records", "added-records", "deleted-records"),
    ("total-files-size", "added-files-size", "removed-files-size"),
    ("total-delete-files", "added-delete-files", "removed-delete-files"),
    ("total-position-deletes", "added-position-deletes", "removed-position-deletes"),
    ("total-equality-deletes", "added-equality-deletes", "removed-equality-deletes"),
)


@dataclass(frozen=True)
class Append:
    """Data files that become one snapshot, over several attempts.

    `baseline`: the table before the first file was begun.
    """

    snapshot_id: int
    commit_id: str
    files: Sequence[DataFile]
    baseline: Baseline
    manifests: Sequence[ManifestFile] = field(default=())

    def commit(self, state: TableState, expired: Sequence[int]) -> TableState:
        """Make one attempt to add the files to `state` and to remove the snapshots `expired`.

        Raises as `change_table` and `check_fence`.
        """
        written = {manifest.manifest_path: self._existing(state) for manifest in self.manifests}

        def write(name: str, spec_id: int, entries: Sequence[ManifestEntry]) -> ManifestFile:
            manifest = write_entries(state, name, spec_id, self.snapshot_id, entries)
            written[manifest.manifest_path] = entries
            return manifest

        manifests = numbered(state, (*self.manifests, *merged(state, self.commit_id, write)))
        snapshot = new_snapshot(
            state,
            self.snapshot_id,
            manifests,
            summary(state, Operation.APPEND, self.commit_id, added=self.files),
            self.baseline,
        )
        removal = [RemoveSnapshotsUpdate(snapshot_ids=list(expired))] if expired else []
        return commit_snapshot(state, snapshot, manifests, removal, written)

    def _existing(self, state: TableState) -> Sequence[ManifestEntry]:
        """Return the manifest entries of the files in the snapshots after this one."""
        sequence_number = state.metadata.next_sequence_number()
        return [
            ManifestEntry.from_args(
                status=ManifestEntryStatus.EXISTING,
                snapshot_id=self.snapshot_id,
                sequence_number=sequence_number,
                file_sequence_number=sequence_number,
                data_file=file,
            )
            for file in self.files
        ]


def new_append(
    state: TableState, files: Sequence[DataFile], commit_id: str, baseline: Baseline
) -> Append:
    """Write the manifest of `files`, with a new snapshot id."""
    snapshot_id = state.metadata.new_snapshot_id()
    entries = [
        ManifestEntry.from_args(
            status=ManifestEntryStatus.ADDED, snapshot_id=snapshot_id, data_file=file
        )
        for file in files
    ]
    spec_id = files[0].spec_id
    name = f"{commit_id}-m0.avro"
    manifest = write_entries(state, name, spec_id, snapshot_id, entries)
    return Append(snapshot_id, commit_id, files, baseline, (manifest,))


def write_entries(
    state: TableState, name: str, spec_id: int, snapshot_id: int, entries: Sequence[ManifestEntry]
) -> ManifestFile:
    """Write a manifest of `entries`, all of one partition spec."""
    location = state.locations.new_metadata_location(own_name(name))
    return write_manifest(
        state.io.new_output(location), state.metadata, spec_id, snapshot_id, entries
    )


def numbered(state: TableState, manifests: Sequence[ManifestFile]) -> tuple[ManifestFile, ...]:
    """Return the manifests; those that the next commit adds get its sequence number.

    They are copied, since the next attempt needs them without a number.
    """
    sequence_number = state.metadata.next_sequence_number()
    return tuple(_numbered(manifest, sequence_number) for manifest in manifests)


def _numbered(manifest: ManifestFile, sequence_number: int) -> ManifestFile:
    if UNASSIGNED_SEQ not in (manifest.sequence_number, manifest.min_sequence_number):
        return manifest
    copy = ManifestFile(*(manifest[position] for position in range(len(manifest))))
    copy.sequence_number = sequence_number
    if copy.min_sequence_number == UNASSIGNED_SEQ:
        copy.min_sequence_number = sequence_number
    return copy


def new_snapshot(
    state: TableState,
    snapshot_id: int,
    manifests: Sequence[ManifestFile],
    summary: Summary,
    baseline: Baseline,
) -> Snapshot:
    """Write the manifest list, and return the snapshot.

    `baseline`: the table before the first file of the snapshot was begun. Raises
    `FilesTooOldError` if a fence may have been committed between that and `state`, the base.
    """
    metadata = state.metadata
    check_fence(metadata, baseline)
    sequence_number = metadata.next_sequence_number()
    # The sequence number makes the names of different attempts different.
    name = f"snap-{snapshot_id}-{sequence_number}-{summary[COMMIT_ID]}.avro"
    location = state.locations.new_metadata_location(own_name(name))
    write_manifest_list(state.io.new_output(location), metadata, snapshot_id, manifests)
    return Snapshot(
        snapshot_id=snapshot_id,
        parent_snapshot_id=metadata.current_snapshot_id,
        sequence_number=sequence_number,
        timestamp_ms=max(clock.now_ms(), latest_ms(metadata)),
        manifest_list=location,
        summary=summary,
        schema_id=metadata.current_schema_id,
    )


def commit_snapshot(
    state: TableState,
    snapshot: Snapshot,
    manifests: tuple[ManifestFile, ...],
    more: Sequence[TableUpdate] = (),
    written: Mapping[str, Sequence[ManifestEntry]] = MappingProxyType({}),
) -> TableState:
    """Make `snapshot` the current one of `main`, if the table still matches `state`.

    Compared are the current snapshot, and the schema and the partition spec that the data files
    were written for. `more`: updates in the same commit. `written`: the entries of the manifests
    that were written for it, by path. Raises as `change_table`.
    """
    metadata = state.metadata
    main = metadata.refs.get(MAIN_BRANCH)
    updates: tuple[TableUpdate, ...] = (
        AddSnapshotUpdate(snapshot=snapshot),
        SetSnapshotRefUpdate(
            ref_name=MAIN_BRANCH,
            type=SnapshotRefType.BRANCH,
            snapshot_id=snapshot.snapshot_id,
            min_snapshots_to_keep=main.min_snapshots_to_keep if main else None,
            max_snapshot_age_ms=main.max_snapshot_age_ms if main else None,
            max_ref_age_ms=main.max_ref_age_ms if main else None,
        ),
        *more,
    )
    after = change_table(
        state,
        (
            AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=metadata.current_snapshot_id),
            AssertCurrentSchemaId(current_schema_id=metadata.current_schema_id),
            AssertDefaultSpecId(default_spec_id=metadata.default_spec_id),
        ),
        updates,
        SnapshotManifests(snapshot.snapshot_id, manifests, {**state.entries, **written}),
    )
    if not after.has_snapshot(snapshot.snapshot_id):
        raise CommitOutcomeUnknownError  # the answer is not to this commit
    return after


def summary(
    state: TableState,
    operation: Operation,
    commit_id: str,
    *,
    added: Sequence[DataFile],
    removed: Sequence[DataFile] = (),
) -> Summary:
    """Return the counts of a snapshot (Iceberg table spec, "Optional Snapshot Summary Fields")."""
    metadata = state.metadata
    collector = SnapshotSummaryCollector(_partition_summary_limit(metadata.properties))
    schema, specs = metadata.schema(), metadata.specs()
    for file in added:
        collector.add_file(file, schema, specs[file.spec_id])
    for file in removed:
        collector.remove_file(file, schema, specs[file.spec_id])
    changes = collector.build()
    parent = state.current_snapshot
    before = parent.summary.additional_properties if parent and parent.summary else None
    totals = _totals(changes, before if parent else dict.fromkeys(t for t, _, _ in _TOTALS))
    return Summary(operation, **{COMMIT_ID: commit_id}, **changes, **totals)


def _totals(changes: Mapping[str, str], before: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return the totals of the table; those that the parent does not have are left out."""
    if before is None:
        return {}
    return {
        total: str(int(before[total] or 0) + int(changes.get(more, 0)) - int(changes.get(less, 0)))
        for total, more, less in _TOTALS
        if total in before
    }


def _partition_summary_limit(properties: Mapping[str, str]) -> int:
    default = TableProperties.WRITE_PARTITION_SUMMARY_LIMIT_DEFAULT
    return number(properties, TableProperties.WRITE_PARTITION_SUMMARY_LIMIT, default)
