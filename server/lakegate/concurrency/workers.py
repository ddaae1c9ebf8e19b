"""Worker threads for blocking calls: decoding, Parquet, storage and the catalog."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from lakegate.concurrency.budget import Budget
from lakegate.concurrency.priority import Priority
from lakegate.concurrency.shares import Owner

# Memory for decoding a body and writing its rows, in multiples of its size, without its values.
# Measured for 64 MiB, values included: 6 for rows of 18 bytes, 7.5 for a mix of events, 12.4 for
# fields of five bytes, for which 14 are reserved. The first body takes 0.1 GB more.
DECODING_FACTOR = 8
# Memory for one value, or a null.
VALUE_BYTES = 16

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Workers:
    """A pool of threads that an event loop awaits without blocking."""

    def __init__(self, threads: int, decoding_bytes: int) -> None:
        """Start up to `threads` threads; decoding reserves up to `decoding_bytes` of memory."""
        self.priority = Priority()
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
        context = copy_context()  # so that its log lines have the request id
        return await loop.run_in_executor(
            self._executor, lambda: context.run(function, *args, **kwargs)
        )

    def reserve_for_decoding(
        self, owner: Owner, size: int, values: int
    ) -> AbstractAsyncContextManager[object]:
        """Reserve memory to decode bodies of `size` bytes with `values` values; wait for it.

        Nulls count as values. At most all the memory is reserved; then nothing else is decoded.
        """
        needed = DECODING_FACTOR * size + VALUE_BYTES * values
        return self._decoding.reserving(owner, min(needed, self._decoding.size))

    def close(self) -> None:
        """Wait for running calls, and end the threads."""
        self._executor.shutdown()
