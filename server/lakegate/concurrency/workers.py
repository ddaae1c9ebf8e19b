"""Worker threads for what blocks: decoding, Parquet, storage and the catalog."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from lakegate.concurrency.budget import Budget
from lakegate.concurrency.priority import Precedence
from lakegate.concurrency.shares import Owner

# Decoding a body and writing its rows takes so many times its size, beside what its cells
# do. Measured for 64 MiB, cells included: 6 for rows of 18 bytes, 7.5 for a mix of events,
# 12.4 for fields of five bytes, which are charged 14. The first body takes 0.1 GB more.
DECODING_FACTOR = 8
# What a cell takes on its way, a null too.
CELL_BYTES = 16

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Workers:
    """A pool of threads that an event loop waits for without blocking."""

    def __init__(self, threads: int, decoding_bytes: int) -> None:
        """Have up to `threads` of them, and `decoding_bytes` of memory for decoding."""
        self.precedence = Precedence()
        self._decoding = Budget(decoding_bytes)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="lake")

    async def run(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run `function` in one of the threads."""
        loop = asyncio.get_running_loop()
        context = copy_context()  # so that its log lines name the request
        return await loop.run_in_executor(
            self._executor, lambda: context.run(function, *args, **kwargs)
        )

    def room_to_decode(
        self, owner: Owner, size: int, cells: int
    ) -> AbstractAsyncContextManager[object]:
        """Hold the memory that it takes to decode bodies of `size` bytes; wait for it.

        `cells`: how many values and nulls there may be. What takes all the memory is alone.
        """
        needed = DECODING_FACTOR * size + CELL_BYTES * cells
        return self._decoding.reserving(owner, min(needed, self._decoding.size))

    def close(self) -> None:
        """Wait for what runs and end the threads."""
        self._executor.shutdown()
