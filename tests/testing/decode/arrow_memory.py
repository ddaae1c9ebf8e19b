"""A bound on the memory that Arrow allocates."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

MIB = 1024 * 1024
FLAT = 160 * MIB  # what decoding may hold at once: a few times the 64 MiB a body may have

POOLS: list[pa.MemoryPool] = []  # what they gave out may outlive the test


@contextmanager
def arrow_memory_at_most(limit: int) -> Iterator[None]:
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    try:
        yield
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() <= limit
