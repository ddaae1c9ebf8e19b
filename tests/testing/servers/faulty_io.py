"""Storage that fails while it is told to: the disk is full, or the server answers 500."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

DISK_FULL = OSError(errno.ENOSPC, "No space left on device")
SERVER_ERROR = OSError("AWS Error INTERNAL_FAILURE during PutObject operation: HTTP 500")


class FaultyFileIO(PyArrowFileIO):
    """Raises `error` for files whose names end with `broken`."""

    broken: str | None = None
    error: OSError = DISK_FULL

    def new_output(self, location: str) -> PyArrowFile:
        if FaultyFileIO.broken is not None and location.endswith(FaultyFileIO.broken):
            raise FaultyFileIO.error
        return super().new_output(location)


@contextmanager
def failing(suffix: str, error: OSError) -> Iterator[None]:
    FaultyFileIO.broken, FaultyFileIO.error = suffix, error
    try:
        yield
    finally:
        FaultyFileIO.broken = None
