"""Local files that survive a power failure: each is synced to the disk when it is closed.

A commit references files that were closed before it, and the embedded catalog syncs its database.
So an acknowledged snapshot is complete after a power failure. Object stores guarantee the same.
"""

import io
import os
from pathlib import Path

from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from typing_extensions import override

# Below the size from which the allocator maps memory for each block.
_BUFFER_BYTES = 64 * 1024
# Of manifests and manifest lists. The metadata file that references them is written after them to
# the same folder, which is then synced.
MANIFEST_SUFFIX = ".avro"


class DurableFileIO(PyArrowFileIO):
    """PyIceberg's file access over PyArrow, with durable writes of local files."""

    @override
    def new_output(self, location: str) -> PyArrowFile:
        """Return the file at `location`, for writing."""
        scheme, netloc, path = self.parse_location(location, self.properties)
        if scheme != "file":
            return super().new_output(location)
        return _DurableFile(location, path, self.fs_by_scheme(scheme, netloc))


class _DurableFile(PyArrowFile):
    @override
    def create(self, overwrite: bool = False) -> OutputStream:
        mode = "w" if overwrite else "x"
        try:
            file = _SyncedFile(self._path, mode)
        except FileNotFoundError:
            _make_folder(Path(self._path).parent)
            file = _SyncedFile(self._path, mode)
        return io.BufferedWriter(file, _BUFFER_BYTES)


class _SyncedFile(io.FileIO):
    """A file that is synced, and its folder too, when it is closed."""

    @override
    def close(self) -> None:
        if self.closed:
            return
        try:
            os.fsync(self.fileno())
        finally:
            super().close()
        path = os.fsdecode(self.name)
        if not path.endswith(MANIFEST_SUFFIX):
            _sync_folder(os.path.dirname(path))  # noqa: PTH120 - a path object is ten times slower


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, and sync their names."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path | str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
