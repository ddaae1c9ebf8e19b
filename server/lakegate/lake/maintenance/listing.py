"""Lists the files at the location of a table."""

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.fs import FileSelector, FileSystem, FileType, FSSpecHandler, PyFileSystem
from pyiceberg.io import FileIO
from pyiceberg.io.fsspec import FsspecFileIO
from pyiceberg.io.pyarrow import PyArrowFileIO

from lakegate.lake.table.state import TableState


class TableFiles:
    """The files at the exclusive location of a table.

    `filesystem`: the file system of the location. `root`: its path there.
    """

    def __init__(self, state: TableState, location: str) -> None:
        """Use the storage of `state`. Raises `TypeError` if it cannot list files."""
        self._io = state.io
        self.location = location
        self.root = self._path(self.location)
        self.filesystem = _filesystem(state.io, self.location)

    def listed(self) -> pa.Table:
        """Return the files: `path` below the location, and `size` in bytes."""
        selector = FileSelector(self.root, recursive=True, allow_not_found=True)
        infos = [
            each for each in self.filesystem.get_file_info(selector) if each.type == FileType.File
        ]
        paths = pa.array([each.path for each in infos], pa.string())
        sizes = pa.array([each.size for each in infos], pa.int64())
        return pa.table({"path": pc.utf8_slice_codeunits(paths, len(self.root) + 1), "size": sizes})

    def relative(self, uri: str) -> str:
        """Return the path of a file below the location; an arbitrary path for a file elsewhere."""
        if uri.startswith(f"{self.location}/"):
            return uri[len(self.location) + 1 :]
        return self._path(uri).removeprefix(f"{self.root}/")

    def uri(self, path: str) -> str:
        """Return the URI of the file at `path` below the location."""
        return f"{self.location}/{path}"

    def _path(self, uri: str) -> str:
        return PyArrowFileIO.parse_location(uri, self._io.properties)[2]


def _filesystem(io: FileIO, location: str) -> FileSystem:
    scheme, netloc, _ = PyArrowFileIO.parse_location(location, io.properties)
    if isinstance(io, PyArrowFileIO):
        return io.fs_by_scheme(scheme, netloc)
    if isinstance(io, FsspecFileIO):
        return PyFileSystem(FSSpecHandler(io.get_fs(scheme)))
    raise TypeError(f"{type(io).__name__} cannot list files.")
