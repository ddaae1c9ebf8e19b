"""A `replace` snapshot: removes data files and adds others with the same rows.

Concurrent appends do not invalidate it: only the manifests that reference a removed file are
rewritten, each of them once.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.table.snapshots import Operation

from lakegate.lake.commit.fence import Baseline
from lakegate.lake.commit.snapshot import (
    commit_snapshot,
    new_snapshot,
    numbered,
    summary,
    write_entries,
)
from lakegate.lake.failures import TableChangedError
from lakegate.lake.files.manifests import is_writable
from lakegate.lake.maintenance.plan import has_deletes
from lakegate.lake.table.state import TableState


@dataclass(frozen=True, slots=True)
class RewrittenManifest:
    """A manifest without the removed files, and the number of those that it referenced."""

    manifest: ManifestFile
    removed: int


@dataclass(frozen=True)
class Rewrite:
    """The replacement of data files by others, over all its attempts.

    `baseline`: the state of the table before the first of the new files was started.
    """

    commit_id: str
    snapshot_id: int
    base_sequence_number: int
    removed: Sequence[DataFile]
    added: Sequence[DataFile]
    manifest: ManifestFile
    baseline: Baseline
    _rewritten: dict[str, RewrittenManifest] = field(default_factory=dict)

    def prepare(self, state: TableState) -> None:
        """Write the manifests for a commit on top of `state`, so that the commit itself is short.

        Raises `TableChangedError`, as `commit` does.
        """
        self._check_partitioning(state)
        for manifest in state.manifests:
            self._without_removed(state, manifest)

    def commit(self, state: TableState) -> TableState:
        """Commit once, on top of `state`.

        Raises `CommitFailedException` for a conflict, also if the files to be replaced are no
        longer in the table; `FilesTooOldError` if a sweep may have deleted the new files;
        `TableChangedError` if a partition column of the files was dropped.
        """
        if state.metadata.snapshot_by_id(self.snapshot_id) is not None:
            return state  # an earlier attempt with an unknown outcome has succeeded
        self._check_partitioning(state)
        if has_deletes(state):
            raise CommitFailedException("The table has delete files now.")
        rewritten = [self._without_removed(state, manifest) for manifest in state.manifests]
        if sum(each.removed for each in rewritten) != len(self.removed):
            raise CommitFailedException("Another writer has removed some of the files.")
        manifests = numbered(state, (self.manifest, *(each.manifest for each in rewritten)))
        changes = summary(
            state, Operation.REPLACE, self.commit_id, added=self.added, removed=self.removed
        )
        snapshot = new_snapshot(state, self.snapshot_id, manifests, changes, self.baseline)
        return commit_snapshot(state, snapshot, manifests)

    def _check_partitioning(self, state: TableState) -> None:
        specs = {file.spec_id for file in (*self.removed, *self.added)}
        if not all(is_writable(state.metadata, spec_id) for spec_id in specs):
            raise TableChangedError("A partition column of the files was dropped.")

    def _without_removed(self, state: TableState, manifest: ManifestFile) -> RewrittenManifest:
        known = self._rewritten.get(manifest.manifest_path)
        if known is None:
            known = self._rewrite(state, manifest)
            self._rewritten[manifest.manifest_path] = known
        return known

    def _rewrite(self, state: TableState, manifest: ManifestFile) -> RewrittenManifest:
        if self._is_later(manifest):
            return RewrittenManifest(manifest, 0)
        gone = {file.file_path for file in self.removed}
        entries = manifest.fetch_manifest_entry(state.io)
        removed = 0
        for entry in entries:
            if entry.data_file.file_path in gone:
                entry.status = ManifestEntryStatus.DELETED
                entry.snapshot_id = self.snapshot_id
                removed += 1
            else:
                entry.status = ManifestEntryStatus.EXISTING
        if not removed:
            return RewrittenManifest(manifest, 0)
        name = f"{self.commit_id}-m{len(self._rewritten) + 1}.avro"
        spec_id = manifest.partition_spec_id
        return RewrittenManifest(
            write_entries(state, name, spec_id, self.snapshot_id, entries), removed
        )

    def _is_later(self, manifest: ManifestFile) -> bool:
        """Whether all files of the manifest were added after the rewrite was planned."""
        return manifest.content != ManifestContent.DATA or (
            not manifest.existing_files_count
            and manifest.sequence_number > self.base_sequence_number
        )


def new_rewrite(
    state: TableState, removed: Sequence[DataFile], added: Sequence[DataFile]
) -> Rewrite:
    """Return the replacement of `removed` by `added`.

    `removed`: files of the current snapshot of `state`, which was read before `added` were written.
    The new files keep the data sequence number of that snapshot, so that later deletes apply to
    them and earlier ones do not (Iceberg table spec, "Sequence Numbers").
    """
    commit_id = str(uuid.uuid4())
    snapshot_id = state.metadata.new_snapshot_id()
    current = state.metadata.current_snapshot()
    sequence_number = current.sequence_number or 0 if current is not None else 0
    entries = [
        ManifestEntry.from_args(
            status=ManifestEntryStatus.ADDED,
            snapshot_id=snapshot_id,
            sequence_number=sequence_number,
            data_file=file,
        )
        for file in added
    ]
    manifest = write_entries(state, f"{commit_id}-m0.avro", added[0].spec_id, snapshot_id, entries)
    baseline = Baseline.of(state.metadata)
    return Rewrite(commit_id, snapshot_id, sequence_number, removed, added, manifest, baseline)
