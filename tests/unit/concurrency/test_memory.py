"""The memory that a process has, and the limits of its control groups."""

import os
from pathlib import Path

import psutil
import pytest

from lakegate.concurrency.memory import memory_limit, resident_memory, return_free_memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
GIB = 1024**3


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GIB}\n"},
        {
            "proc/self/cgroup": "0::/pod/container\n",
            "sys/fs/cgroup/pod/container/memory.max": "max\n",
            "sys/fs/cgroup/pod/memory.max": f"{GIB}\n",
        },
        {
            "proc/self/cgroup": "9:cpu,cpuacct:/x\n4:memory:/docker/c\n0::/\n",
            "sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
        {  # seen from within the container
            "proc/self/cgroup": "4:memory:/docker/c\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
        },
    ],
    ids=["version 2", "version 2, nested", "version 1", "version 1, namespaced"],
)
def test_a_container_has_its_limit(tmp_path: Path, files: dict[str, str]) -> None:
    assert memory_limit(system(tmp_path, files)) == GIB


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"},
        {"proc/self/cgroup": "3:cpu:/x\n"},
    ],
)
def test_without_one_it_is_the_machines_memory(tmp_path: Path, files: dict[str, str]) -> None:
    assert memory_limit(system(tmp_path, files)) == MACHINE


def test_the_memory_that_a_process_has_is_what_others_see() -> None:
    return_free_memory()
    seen = psutil.Process().memory_info().rss
    assert resident_memory() == pytest.approx(seen, rel=0.1)
