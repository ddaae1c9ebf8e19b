"""The files that the metadata of a table references, in all its snapshots."""

from collections.abc import Iterator

from pyiceberg.manifest import ManifestFile
from pyiceberg.table.snapshots import Snapshot

from lakegate.lake.table.state import TableState


class References:
    """Reads the references of one table, at any number of its versions.

    Manifests and manifest lists never change, so each is read once.
    """

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._manifests: dict[str, list[str]] = {}
        self._files: dict[str, list[str]] = {}

    def of(self, state: TableState) -> Iterator[str]:
        """Yield every file that the metadata references; some of them more than once."""
        metadata = state.metadata
        yield state.table.metadata_location
        yield from (entry.metadata_file for entry in metadata.metadata_log)
        yield from (statistics.statistics_path for statistics in metadata.statistics)
        yield from (statistics.statistics_path for statistics in metadata.partition_statistics)
        manifests: dict[str, None] = {}
        for snapshot in metadata.snapshots:
            yield snapshot.manifest_list
            manifests.update(dict.fromkeys(self._manifests_of(snapshot, state)))
        for manifest in manifests:
            yield manifest
            yield from self._files[manifest]

    def _manifests_of(self, snapshot: Snapshot, state: TableState) -> list[str]:
        if snapshot.manifest_list not in self._manifests:
            manifests = snapshot.manifests(state.io)
            for manifest in manifests:
                if manifest.manifest_path not in self._files:
                    self._files[manifest.manifest_path] = _files_of(manifest, state)
            self._manifests[snapshot.manifest_list] = [each.manifest_path for each in manifests]
        return self._manifests[snapshot.manifest_list]


def _files_of(manifest: ManifestFile, state: TableState) -> list[str]:
    return [entry.data_file.file_path for entry in manifest.fetch_manifest_entry(state.io)]
