"""Which small data files are merged into one."""

from collections import defaultdict
from collections.abc import Iterable

from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.utils.bin_packing import ListPacker

from lakegate.lake.table.state import TableState

# A file of this part of the target size is large enough.
LARGE_ENOUGH = 0.75
# Beside ingest, files wait until there are so many of about the same size:
# each row is then rewritten a few times at the most.
FAN_IN = 10
KILOBYTE_DIGITS = 4


def has_deletes(state: TableState) -> bool:
    """Whether rows of data files are deleted by delete files, which compaction leaves alone."""
    return any(manifest.content == ManifestContent.DELETES for manifest in state.manifests)


class SmallFiles:
    """The small files of one table, known by manifest: a manifest never changes.

    So that a look at a large table reads what is new, not everything.
    """

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[str, list[DataFile]] = {}

    def of(self, state: TableState, target: int) -> list[DataFile]:
        """Return the live data files of the current snapshot that are well below `target` bytes."""
        largest = LARGE_ENOUGH * target
        self._known = {
            manifest.manifest_path: self._known[manifest.manifest_path]
            if manifest.manifest_path in self._known
            else _files_below(largest, manifest, state)
            for manifest in state.manifests
            if manifest.content == ManifestContent.DATA
            and manifest.partition_spec_id == state.metadata.default_spec_id
        }
        return [file for files in self._known.values() for file in files]


def plan(
    state: TableState, small_files: SmallFiles, target: int, *, everything: bool
) -> list[list[DataFile]]:
    """Group small files of a partition so that each group makes one file of `target` bytes.

    `everything`: merge whatever can be merged; otherwise only where enough
    files of about the same size have gathered.
    """
    if has_deletes(state):
        return []
    small = small_files.of(state, target)
    packer: ListPacker[DataFile] = ListPacker(target, lookback=1, largest_bin_first=False)
    fewest = 2 if everything else FAN_IN
    return [
        group
        for alike in _alike(small, everything=everything)
        for group in packer.pack(alike, lambda file: file.file_size_in_bytes)
        if len(group) >= fewest
    ]


def _files_below(size: float, manifest: ManifestFile, state: TableState) -> list[DataFile]:
    entries = manifest.fetch_manifest_entry(state.io)
    return [each.data_file for each in entries if each.data_file.file_size_in_bytes < size]


def _alike(files: Iterable[DataFile], *, everything: bool) -> Iterable[list[DataFile]]:
    groups: dict[tuple[object, ...], list[DataFile]] = defaultdict(list)
    for file in files:
        magnitude = 0 if everything else _magnitude(file)
        partition = tuple(file.partition[field] for field in range(len(file.partition)))
        groups[(magnitude, *partition)].append(file)
    return groups.values()


def _magnitude(file: DataFile) -> int:
    """Return the number of decimal digits of the size; all below ten kilobytes are alike."""
    return max(KILOBYTE_DIGITS, len(str(file.file_size_in_bytes)))
