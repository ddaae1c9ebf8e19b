"""Worker threads for what blocks: decoding, Parquet, storage and the catalog."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Workers:
    """A pool of threads that an event loop waits for without blocking."""

    def __init__(self, threads: int) -> None:
        """Have up to `threads` of them."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="lake")

    async def run(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run `function` in one of the threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Wait for what runs and end the threads."""
        self._executor.shutdown()
