"""Manifests merged as they gather, so that their number grows with the logarithm of the commits.

Manifests of about the same size are merged ten by ten, as in a log-structured
merge tree. Each entry is so rewritten a few times in its life, and a commit
lists a few dozen manifests. Large ones are left to compaction: rewriting them
would hold up a commit.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate

from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.table.state import TableState

FAN_IN = 10
# More entries than this are not written by one commit.
LARGEST_MERGE = 300

WriteEntries = Callable[[str, int, Sequence[ManifestEntry]], ManifestFile]


def merged(state: TableState, commit_id: str, write: WriteEntries) -> tuple[ManifestFile, ...]:
    """Return the state's manifests, ten of a size made into one by `write(name, spec_id, entries)`.

    The table property `commit.manifest-merge.enabled` can forbid it. Manifests
    that only say what an earlier snapshot deleted are left out, and those whose columns are
    gone stay as they are.
    """
    enabled = state.metadata.properties.get(TableProperties.MANIFEST_MERGE_ENABLED, "true")
    manifests = tuple(manifest for manifest in state.manifests if _entries(manifest))
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
    """Whether a manifest of the partition spec can be written for the current schema.

    A spec that is not in use any more may name columns that were dropped since: of what type
    its partitions are is not known then.
    """
    schema = metadata.schema()
    sources = (field.source_id for field in metadata.specs()[spec_id].fields)
    return all(schema.find_column_name(source) is not None for source in sources)


def _mergeable(manifests: Sequence[ManifestFile]) -> list[list[ManifestFile]]:
    """Find the manifests of one partition spec and about one size, where there are enough."""
    alike: dict[tuple[int, int], list[ManifestFile]] = defaultdict(list)
    for manifest in manifests:
        if manifest.content == ManifestContent.DATA:
            alike[manifest.partition_spec_id, _magnitude(manifest)].append(manifest)
    chosen = (_smallest(group) for group in alike.values() if len(group) >= FAN_IN)
    return [group for group in chosen if len(group) > 1]


def _smallest(manifests: Sequence[ManifestFile]) -> list[ManifestFile]:
    """Choose as many manifests as one commit can merge, small ones first."""
    by_size = sorted(manifests, key=_entries)
    running = accumulate(map(_entries, by_size))
    return [each for each, total in zip(by_size, running, strict=True) if total <= LARGEST_MERGE]


def _entries(manifest: ManifestFile) -> int:
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def _magnitude(manifest: ManifestFile) -> int:
    """Return the number of decimal digits of the number of entries."""
    return len(str(_entries(manifest)))


def _read(state: TableState, manifest: ManifestFile) -> Sequence[ManifestEntry]:
    """Return the entries of a manifest, as a later snapshot has them."""
    if known := state.entries.get(manifest.manifest_path):
        return known
    entries = manifest.fetch_manifest_entry(state.io)
    for entry in entries:
        entry.status = ManifestEntryStatus.EXISTING
    return entries
