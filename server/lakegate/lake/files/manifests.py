"""Merges manifests, so that their number grows with the logarithm of the number of commits.

Ten manifests of about the same size are merged into one, as in a log-structured merge tree. So each
entry is rewritten only a few times, and a manifest list has a few dozen manifests. Large manifests
are not merged by commits, which that would delay.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate

from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.table.state import TableState

FAN_IN = 10
# A commit merges at most this many entries.
LARGEST_MERGE = 300

WriteEntries = Callable[[str, int, Sequence[ManifestEntry]], ManifestFile]


def merged(state: TableState, commit_id: str, write: WriteEntries) -> tuple[ManifestFile, ...]:
    """Return the state's manifests, merged where there are ten of about the same size.

    `write(name, spec_id, entries)` writes a merged manifest. Nothing is merged if the table
    property `commit.manifest-merge.enabled` is false. Manifests that have only deleted entries are
    dropped, and those of dropped partition columns are kept.
    """
    enabled = state.metadata.properties.get(TableProperties.MANIFEST_MERGE_ENABLED, "true")
    manifests = tuple(manifest for manifest in state.manifests if _may_have_entries(manifest))
    if enabled.lower() == "false" or len(manifests) < FAN_IN:
        return manifests
    writable = [each for each in manifests if is_writable(state.metadata, each.partition_spec_id)]
    for number, mergeable in enumerate(_mergeable(writable)):
        entries = [entry for manifest in mergeable for entry in _read(state, manifest)]
        gone = set(mergeable)
        manifests = tuple(manifest for manifest in manifests if manifest not in gone)
        if entries:
            name = f"{commit_id}-merged{number}.avro"
            one = write(name, mergeable[0].partition_spec_id, entries)
            manifests = (one, *manifests)
    return manifests


def is_writable(metadata: TableMetadata, spec_id: int) -> bool:
    """Whether a manifest of the partition spec can be written with the current schema.

    An old spec may have dropped columns, so that the types of its partitions are unknown.
    """
    schema = metadata.schema()
    sources = (field.source_id for field in metadata.specs()[spec_id].fields)
    return all(schema.find_column_name(source) is not None for source in sources)


def _mergeable(manifests: Sequence[ManifestFile]) -> list[list[ManifestFile]]:
    """Return groups of manifests of one partition spec and about the same size."""
    similar: dict[tuple[int, int], list[ManifestFile]] = defaultdict(list)
    for manifest in manifests:
        if manifest.content == ManifestContent.DATA and _entries(manifest):
            similar[manifest.partition_spec_id, _magnitude(manifest)].append(manifest)
    chosen = (_smallest(group) for group in similar.values() if len(group) >= FAN_IN)
    return [group for group in chosen if len(group) > 1]


def _smallest(manifests: Sequence[ManifestFile]) -> list[ManifestFile]:
    """Return as many manifests as one commit can merge, smallest first."""
    by_size = sorted(manifests, key=_entries)
    running = accumulate(map(_entries, by_size))
    return [each for each, total in zip(by_size, running, strict=True) if total <= LARGEST_MERGE]


def _may_have_entries(manifest: ManifestFile) -> bool:
    """Whether the manifest has entries that are not deleted.

    In tables of version 1 the counts may be missing (Iceberg table spec, "Manifest Lists").
    """
    return manifest.has_added_files() or manifest.has_existing_files()


def _entries(manifest: ManifestFile) -> int:
    """Return the number of entries that are not deleted, as far as they are counted."""
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def _magnitude(manifest: ManifestFile) -> int:
    """Return the number of decimal digits of the number of entries."""
    return len(str(_entries(manifest)))


def _read(state: TableState, manifest: ManifestFile) -> Sequence[ManifestEntry]:
    """Return the entries of a manifest, with the status that they have in a later snapshot."""
    if known := state.entries.get(manifest.manifest_path):
        return known
    entries = manifest.fetch_manifest_entry(state.io)
    for entry in entries:
        entry.status = ManifestEntryStatus.EXISTING
    return entries
