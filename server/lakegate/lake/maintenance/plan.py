"""Which small data files are merged."""

from collections import defaultdict
from collections.abc import Iterable

from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.utils.bin_packing import ListPacker

from lakegate.lake.table.state import TableState

# Files of at least this share of the target size are not merged.
LARGE_ENOUGH = 0.75
# In the background, files are merged when there are this many of about the same size, so that
# each row is rewritten only a few times.
FAN_IN = 10
KILOBYTE_DIGITS = 4


def has_deletes(state: TableState) -> bool:
    """Whether the table has delete files. Such tables are not compacted."""
    return any(manifest.content == ManifestContent.DELETES for manifest in state.manifests)


class SmallFiles:
    """The small files of one table, cached by manifest, because a manifest never changes.

    So a check of a large table reads only new manifests.
    """

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._by_manifest: dict[str, list[DataFile]] = {}

    def of(self, state: TableState, target: int) -> list[DataFile]:
        """Return the data files of the current snapshot that are small against `target` bytes."""
        largest = LARGE_ENOUGH * target
        self._by_manifest = {
            manifest.manifest_path: self._by_manifest[manifest.manifest_path]
            if manifest.manifest_path in self._by_manifest
            else _files_below(largest, manifest, state)
            for manifest in state.manifests
            if manifest.content == ManifestContent.DATA
            and manifest.partition_spec_id == state.metadata.default_spec_id
        }
        return [file for files in self._by_manifest.values() for file in files]


def plan(
    state: TableState, small_files: SmallFiles, target: int, *, everything: bool
) -> list[list[DataFile]]:
    """Group small files of a partition; each group is merged into one file of `target` bytes.

    `everything`: merge all small files; otherwise only `FAN_IN` files of about the same size.
    """
    if has_deletes(state):
        return []
    small = small_files.of(state, target)
    packer: ListPacker[DataFile] = ListPacker(target, lookback=1, largest_bin_first=False)
    min_files = 2 if everything else FAN_IN
    return [
        group
        for similar in _similar(small, everything=everything)
        for group in packer.pack(similar, lambda file: file.file_size_in_bytes)
        if len(group) >= min_files
    ]


def _files_below(size: float, manifest: ManifestFile, state: TableState) -> list[DataFile]:
    entries = manifest.fetch_manifest_entry(state.io)
    return [each.data_file for each in entries if each.data_file.file_size_in_bytes < size]


def _similar(files: Iterable[DataFile], *, everything: bool) -> Iterable[list[DataFile]]:
    groups: dict[tuple[object, ...], list[DataFile]] = defaultdict(list)
    for file in files:
        magnitude = 0 if everything else _magnitude(file)
        partition = tuple(file.partition[field] for field in range(len(file.partition)))
        groups[(magnitude, *partition)].append(file)
    return groups.values()


def _magnitude(file: DataFile) -> int:
    """Return the number of decimal digits of the size, and the same for all below 10 kB."""
    return max(KILOBYTE_DIGITS, len(str(file.file_size_in_bytes)))
