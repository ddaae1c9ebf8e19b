"""Servers: the real `Lake` in processes that are suspended, stopped, killed and restarted."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

from pyiceberg.catalog import Catalog
from tests.simulation.hosts import HOST, Host
from tests.simulation.world import World
from tests.testing.lines import LinesDecoder

from lakegate.lake.lake import Lake
from lakegate.model import Acknowledgement, Batch, TableName
from lakegate.settings import Settings

Answer = TypeVar("Answer")

GRACE_SECONDS = 60.0
FOREIGN_GRACE_SECONDS = 300.0


class GoneError(Exception):
    """The server has died, and with it the connection."""


class Server:
    """One of the servers. `open_catalog` connects a process to the catalog."""

    def __init__(
        self, world: World, name: str, home: Path, open_catalog: Callable[[], Catalog]
    ) -> None:
        self.name = name
        self.decoder = LinesDecoder()
        self._world = world
        self._open_catalog = open_catalog
        self._settings = Settings(
            home=home,
            memory_budget_bytes=1 << 30,
            snapshots_kept=world.chance.choice([2, 5, 100]),
            maintenance_interval_seconds=10.0,
            orphan_grace_seconds=GRACE_SECONDS,
            foreign_orphan_grace_seconds=FOREIGN_GRACE_SECONDS,
            snapshots_kept_seconds=world.chance.choice([0.0, 60.0]),
            ledger_lease_seconds=world.chance.choice([0.0, 5.0, 15.0]),
            commit_attempts=world.chance.choice([3, 20]),
        )
        self.start()

    def start(self) -> None:
        """Start a process."""
        self.host = Host(self.name)
        self._world.hosts.append(self.host)
        self._died: asyncio.Future[None] = self._world.loop.create_future()
        context = copy_context()
        context.run(HOST.set, self.host)
        self._context = context
        self.lake = context.run(Lake, self._open_catalog(), self._settings)

    async def append(self, batch: Batch) -> Acknowledgement:
        return await self._call(self.lake.append(batch))

    async def next_offset(self, table: TableName, stream_id: str) -> int:
        return await self._call(self.lake.next_offset(table, stream_id))

    async def ensure_table(self, *request: Any) -> None:
        await self._call(self.lake.ensure_table(*request))

    async def close(self) -> None:
        """Stop the process as SIGTERM does: batches that take too long are abandoned."""
        self._world.say(f"{self.name} is stopped")
        patience = self._world.chance.choice([0.0, 0.005, 0.05, 0.5, 1000.0])
        ended: set[asyncio.Future[Any]] = {self._task(self.lake.close()), self._died}
        done, _ = await asyncio.wait(ended, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self._world.say(f"{self.name} gives up")
            await self._task(self._abort())
            await asyncio.sleep(self._world.chance.choice([0.0, 0.01, 1.0]))
        self._die()

    async def _abort(self) -> None:
        self.lake.abort()

    async def end(self) -> None:
        """Stop the process and wait for it without a limit."""
        await self._call(self.lake.close())

    def kill(self) -> None:
        """Kill the process."""
        self._world.say(f"{self.name} is killed")
        self._die()

    async def suspend(self, seconds: float) -> None:
        """Suspend the process for a while, as SIGSTOP does."""
        self._world.say(f"{self.name} is suspended for {seconds:.0f} s")
        host = self.host
        host.suspended = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self._world.say(f"{self.name} goes on")
            host.resume(self._world.loop.run_soon)

    def _die(self) -> None:
        self.host.dead = True
        if not self._died.done():
            self._died.set_result(None)

    def _task(self, call: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
        return asyncio.get_running_loop().create_task(call, context=self._context.copy())

    async def _call(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """Call over the network. There is no answer if the process dies before."""
        task, died = self._task(call), self._died
        either: set[asyncio.Future[Any]] = {task, died}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.done():
            return task.result()
        raise GoneError
