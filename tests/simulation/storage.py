"""Files in memory. Each time one is opened, written or deleted, everything else may happen."""

import io
from dataclasses import dataclass
from typing import Any, Self

from pyarrow.fs import FileInfo, FileSelector, FileSystemHandler, FileType, PyFileSystem
from pyiceberg.io import InputFile, OutputFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from tests.simulation.hosts import HOST
from tests.simulation.world import World

from lakegate import clock

WAREHOUSE = "memory://warehouse"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file, and when it was written."""

    data: bytes
    written_ms: int


class Storage:
    """The files by location. Its methods take no time: they are for the simulation itself."""

    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}

    def put(self, location: str, data: bytes) -> None:
        self.files[location] = StoredFile(data, clock.now_ms())

    def get(self, location: str) -> bytes:
        if location not in self.files:
            raise FileNotFoundError(location)
        return self.files[location].data


class MemoryFileIO(PyArrowFileIO):
    """The way programs reach the files. `on_delete` is asked before each deletion."""

    def __init__(self, world: World, storage: Storage, on_delete: Any) -> None:
        super().__init__()
        self.world = world
        self.storage = storage
        self._on_delete = on_delete
        self.fs_by_scheme = lambda _scheme, _netloc: PyFileSystem(_Listing(self))

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
    """A file that is there once it is closed."""

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


class _Listing(FileSystemHandler):  # type: ignore[misc] # PyArrow has no types
    """As much of a file system as lists files."""

    def __init__(self, file_io: MemoryFileIO) -> None:
        self._io = file_io

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        root = f"memory://{selector.base_dir}/"
        return [
            FileInfo(
                location.removeprefix("memory://"),
                FileType.File,
                mtime_ns=file.written_ms * 1_000_000,
                size=len(file.data),
            )
            for location, file in self._io.storage.files.items()
            if location.startswith(root)
        ]

    def get_type_name(self) -> str:
        return "memory"

    def normalize_path(self, path: str) -> str:
        return path

    def _refuse(self, *_: Any) -> Any:
        raise NotImplementedError

    get_file_info = create_dir = delete_dir = delete_dir_contents = _refuse
    delete_root_dir_contents = delete_file = move = copy_file = _refuse
    open_input_stream = open_input_file = open_output_stream = open_append_stream = _refuse


def name_of(location: str) -> str:
    """Return the part of a location that a trace needs."""
    return location.rsplit("/", 1)[-1]
