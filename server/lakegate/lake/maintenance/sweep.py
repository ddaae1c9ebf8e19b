"""The sweep: files that no snapshot references are deleted, after a grace period.

It never deletes a file of a commit under way, on any server. A commit gives up
on its files when they are half as old as the grace period, so a file older
than that which no metadata names will never be named. The files are listed
first and the metadata read after, so what was committed in between counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, FSSpecHandler, PyFileSystem
from pyiceberg.catalog import Catalog
from pyiceberg.io import FileIO
from pyiceberg.io.fsspec import FsspecFileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from lakegate import clock
from lakegate.batches import TableName
from lakegate.lake.files import delete_files
from lakegate.lake.table_state import TableState, reload


@dataclass(frozen=True, slots=True)
class Swept:
    """How many orphans were deleted, and their size in bytes."""

    files: int
    bytes: int


def sweep(catalog: Catalog, name: TableName, state: TableState, grace_seconds: float) -> Swept:
    """Delete the orphans under the table's location. Blocks."""
    location = state.metadata.location
    oldest = clock.now_ms() / 1000 - grace_seconds
    old = {info.path: info for info in _listed(state.io, location) if info.mtime_ns < oldest * 1e9}
    if not old:
        return Swept(0, 0)
    state = reload(catalog, name, state.uuid)
    referenced = {_path(state.io, uri) for uri in _referenced(state)}
    orphans = [info for path, info in old.items() if path not in referenced]
    prefix = location.rstrip("/")
    root = _path(state.io, prefix)
    deleted = delete_files(state.io, (f"{prefix}{info.path[len(root) :]}" for info in orphans))
    return Swept(deleted, sum(info.size for info in orphans))


def _listed(io: FileIO, location: str) -> Iterator[FileInfo]:
    selector = FileSelector(_path(io, location), recursive=True, allow_not_found=True)
    for info in _filesystem(io, location).get_file_info(selector):
        if info.type == FileType.File:
            yield info


def _filesystem(io: FileIO, location: str) -> FileSystem:
    scheme, netloc, _ = PyArrowFileIO.parse_location(location, io.properties)
    if isinstance(io, PyArrowFileIO):
        return io.fs_by_scheme(scheme, netloc)
    if isinstance(io, FsspecFileIO):
        return PyFileSystem(FSSpecHandler(io.get_fs(scheme)))
    raise TypeError(f"{type(io).__name__} cannot list files.")


def _path(io: FileIO, uri: str) -> str:
    return PyArrowFileIO.parse_location(uri, io.properties)[2]


def _referenced(state: TableState) -> Iterator[str]:
    """Name every file that the metadata needs, over all its snapshots."""
    metadata = state.metadata
    yield state.table.metadata_location
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    yield from (statistics.statistics_path for statistics in metadata.statistics)
    yield from (statistics.statistics_path for statistics in metadata.partition_statistics)
    seen: set[str] = set()
    for snapshot in metadata.snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(state.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(state.io):
                yield entry.data_file.file_path
