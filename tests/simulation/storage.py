"""Files in memory. Other actors may run whenever one is opened, written or deleted."""

import io
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
from pyarrow.fs import FileInfo, FileSelector, FileSystemHandler, FileType, PyFileSystem
from pyiceberg.io import InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from tests.simulation.hosts import HOST
from tests.simulation.world import World

from lakegate import clock

SCHEME = "memory://"
WAREHOUSE = f"{SCHEME}warehouse"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, and when it was written."""

    data: bytes
    written_ms: int


class Storage:
    """The files by location. Its methods are for the simulation itself, and do not pause."""

    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}

    def put(self, location: str, data: bytes) -> None:
        self.files[location] = StoredFile(data, clock.now_ms())

    def get(self, location: str) -> bytes:
        if location not in self.files:
            raise FileNotFoundError(location)
        return self.files[location].data


class MemoryFileIO(PyArrowFileIO):
    """The programs' access to the files. `on_delete` is called before each deletion."""

    def __init__(self, world: World, storage: Storage, on_delete: Any) -> None:
        super().__init__()
        self.world = world
        self.storage = storage
        self._on_delete = on_delete
        self.fs_by_scheme = lambda _scheme, _netloc: PyFileSystem(_FileSystem(storage))

    def new_input(self, location: str) -> Any:
        return MemoryInput(location, self)

    def new_output(self, location: str) -> Any:
        return MemoryOutput(location, self)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        path = location if isinstance(location, str) else location.location
        self.world.point(f"delete {name_of(path)}")
        if path not in self.storage.files:
            raise FileNotFoundError(path)
        self._on_delete(path)
        del self.storage.files[path]


class MemoryInput(InputFile):
    def __init__(self, location: str, io: MemoryFileIO) -> None:
        super().__init__(location)
        self._io = io

    def __len__(self) -> int:
        return len(self._io.storage.get(self.location))

    def exists(self) -> bool:
        return self.location in self._io.storage.files

    def open(self, seekable: bool = True) -> Any:  # noqa: FBT001, FBT002 - PyIceberg's signature
        del seekable
        self._io.world.point(f"read {name_of(self.location)}")
        return io.BytesIO(self._io.storage.get(self.location))


class MemoryOutput(OutputFile):
    def __init__(self, location: str, io: MemoryFileIO) -> None:
        super().__init__(location)
        self._io = io

    def __len__(self) -> int:
        return len(self._io.storage.get(self.location))

    def exists(self) -> bool:
        return self.location in self._io.storage.files

    def to_input_file(self) -> Any:
        return MemoryInput(self.location, self._io)

    def create(self, overwrite: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyIceberg's signature
        if not overwrite and self.exists():
            raise FileExistsError(self.location)
        return _Writing(self.location, self._io)


class _Writing:
    """A file that exists once it is closed."""

    def __init__(self, location: str, file_io: MemoryFileIO) -> None:
        self._location = location
        self._io = file_io
        self._buffer = io.BytesIO()
        self.closed = False

    def write(self, data: Any) -> int:
        return self._buffer.write(data)

    def tell(self) -> int:
        return self._buffer.tell()

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        world = self._io.world
        if HOST.get() is not None and world.happens(world.weather.broken_storage):
            raise OSError("the disk is full")
        world.point(f"write {name_of(self._location)}")
        self._io.storage.put(self._location, self._buffer.getvalue())
        world.point(f"written {name_of(self._location)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _FileSystem(FileSystemHandler):  # type: ignore[misc] # PyArrow has no types
    """The same files for PyArrow, which uses threads of its own: without pauses."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def get_type_name(self) -> str:
        return "memory"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        return [self._info(path) for path in paths]

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        root = f"{SCHEME}{selector.base_dir}/"
        there = [location for location in self._storage.files if location.startswith(root)]
        return [self._info(location.removeprefix(SCHEME)) for location in there]

    def open_input_file(self, path: str) -> pa.NativeFile:
        return pa.BufferReader(self._storage.get(SCHEME + path))

    def open_output_stream(self, path: str, _metadata: object) -> pa.NativeFile:
        return pa.PythonFile(_Kept(SCHEME + path, self._storage), mode="w")

    def move(self, src: str, dest: str) -> None:
        self._storage.put(SCHEME + dest, self._storage.get(SCHEME + src))
        del self._storage.files[SCHEME + src]

    def _info(self, path: str) -> FileInfo:
        file = self._storage.files.get(SCHEME + path)
        if file is None:
            return FileInfo(path, FileType.NotFound)
        written = file.written_ms * 1_000_000
        return FileInfo(path, FileType.File, mtime_ns=written, size=len(file.data))

    def _refuse(self, *_: Any) -> Any:
        raise NotImplementedError

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _refuse
    delete_file = copy_file = open_input_stream = open_append_stream = _refuse


class _Kept(io.BytesIO):
    """A file that exists once it is closed."""

    def __init__(self, location: str, storage: Storage) -> None:
        super().__init__()
        self._location = location
        self._storage = storage

    def close(self) -> None:
        if not self.closed:
            self._storage.put(self._location, self.getvalue())
        super().close()


def name_of(location: str) -> str:
    """Return a short form of a location for the trace."""
    return location.rsplit("/", 1)[-1]
