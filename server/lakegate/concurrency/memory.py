"""The memory that the process may take, and how unused memory is returned to the system."""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGE_BYTES = 256 * 1024


def return_large_blocks() -> None:
    """Return large blocks to the system when they are freed (glibc only).

    By default, glibc raises its threshold with the first bodies, and keeps their memory.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def return_free_memory() -> None:
    """Return to the system what is free between other blocks (glibc only). Blocks."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def resident_memory() -> int:
    """Return the resident bytes of the process, proc_pid_statm(5); 0 where that is missing."""
    fields = _read(Path("/proc/self/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def memory_limit(root: Path = Path("/")) -> int:
    """Return the bytes that the process may take: its container's limit, or the machine's memory.

    `root` is where /proc and /sys are.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_cgroup_limits(root)])


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Return the limits of the process's control groups and of those around them.

    cgroups(7): a line `<number>:<controllers>:<path>` each; version 2 has no controllers.
    """
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folder, file = mount, "memory.max"
        elif "memory" in controllers.split(","):
            folder, file = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = Path(path.lstrip("/"))
        for each in (group, *group.parents):
            limit = _read(folder / each / file).strip()
            if limit.isdecimal():  # `max` is none
                yield int(limit)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
