"""One simulation: all actors of one seed."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.simulation.catalogs import EmbeddedCatalog, RestCatalog, RestServer
from tests.simulation.engines import Engines
from tests.simulation.model import Model
from tests.simulation.senders import COLUMNS, Sender
from tests.simulation.servers import GRACE_SECONDS, GoneError, Server
from tests.simulation.storage import MemoryFileIO, Storage
from tests.simulation.world import World, the_only
from tests.testing.lines import COLUMNS as LINES

from lakegate.errors import LakegateError
from lakegate.lake.table.definition import TableDefinition
from lakegate.model import TableName

OURS = TableName("default", "ours")
THEIRS = TableName("default", "theirs")
ENGINE_ACTIONS = (
    "append",
    "delete",
    "expire",
    "add_column",
    "drop_column",
    "rename_column",
    "change_spec",
    "remake",
    "write_slowly",
    "read_slowly",
)
SERVER_EVENTS = ("close", "kill", "suspend")
# How long there are faults, and how long the simulation may take after them, in virtual time.
TROUBLE_SECONDS = 700.0
DEADLINE_SECONDS = 5_000.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one seed."""

    seed: int
    trace: list[str]
    violations: list[str]


def simulate(seed: int, home: Path) -> Outcome:
    """Run a seed. `home` is an empty folder for the databases."""
    world = World(seed)
    with the_only(world):
        world.loop.run_until_complete(Simulation(world, home).run())
    return Outcome(seed, world.trace, world.violations)


class Simulation:
    """The actors of a world."""

    def __init__(self, world: World, home: Path) -> None:
        self._world = world
        self._home = home
        self._storage = Storage()
        self._model = Model(world, self._storage)
        self._file_io = MemoryFileIO(world, self._storage, self._model.about_to_delete)
        world.file_io = self._file_io
        self._rest = RestServer(self._model, self._file_io)
        self._is_rest = world.chance.random() < 0.6
        self._engines = Engines(world, self._model, self._catalog(reliable=True), self._file_io)
        self._foreign = world.happens(0.2)
        self._table = THEIRS if self._foreign else OURS

    async def run(self) -> None:
        """Run all actors until the senders are done, then check the tables."""
        chance, world = self._world.chance, self._world
        world.say(f"{'REST' if self._is_rest else 'SQL'} {world.weather}")
        if self._foreign:
            await self._act("make_foreign")
        names = [f"server-{n}" for n in range(chance.choice([1, 2, 2, 3]))]
        servers = [
            Server(world, name, self._home, lambda: self._catalog(reliable=False)) for name in names
        ]
        senders = [asyncio.create_task(sender.run()) for sender in self._senders(servers)]
        actors = [
            asyncio.create_task(self._let_engines_act(_some(world, ENGINE_ACTIONS))),
            *(
                asyncio.create_task(self._let_servers_suffer(servers, _some(world, SERVER_EVENTS)))
                for _ in range(2)
            ),
        ]
        if world.happens(0.3):
            actors.append(asyncio.create_task(self._let_somebody_provision(servers)))
        await self._until_sent(senders, actors)
        if not world.violations:
            await self._end(servers)

    async def _until_sent(
        self, senders: list[asyncio.Task[None]], actors: list[asyncio.Task[None]]
    ) -> None:
        """Wait for the senders or a violation, then stop all actors. Raises their exceptions."""
        sent = asyncio.create_task(asyncio.wait(senders))
        violated = asyncio.create_task(self._world.violated.wait())
        either: set[asyncio.Task[Any]] = {sent, violated}
        done, _ = await asyncio.wait(
            either, timeout=TROUBLE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if not done:
            self._world.calm = True
            for actor in actors:
                actor.cancel()
            async with asyncio.timeout(DEADLINE_SECONDS):
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        everyone = [*senders, *actors, sent, violated]
        for task in everyone:
            task.cancel()
        for ended in await asyncio.gather(*everyone, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _end(self, servers: list[Server]) -> None:
        """Wait for the operations in progress, and check all tables."""
        self._world.calm = True
        for server in servers:
            self._world.say(f"{server.name} ends")
            await asyncio.wait_for(server.end(), DEADLINE_SECONDS)
        await asyncio.sleep(5 * GRACE_SECONDS)
        self._model.check_at_the_end()

    def _senders(self, servers: list[Server]) -> list[Sender]:
        chance = self._world.chance
        return [
            Sender(
                self._world,
                self._model,
                servers,
                f"s{number}",
                self._table,
                chance.randrange(3, 9),
                chance.choice(["plain", "keyed", "keyed", "stream"]),
            )
            for number in range(chance.randrange(2, 6))
        ]

    async def _let_engines_act(self, actions: list[str]) -> None:
        while actions:
            await asyncio.sleep(self._world.chance.choice([0.005, 0.1, 2.0, 20.0]))
            await self._act(self._world.chance.choice(actions))

    async def _act(self, action: str) -> None:
        loop = self._world.loop
        await loop.run_in_executor(None, self._engines.act, action, self._table)

    async def _let_servers_suffer(self, servers: list[Server], events: list[str]) -> None:
        chance = self._world.chance
        while events:
            await asyncio.sleep(chance.choice([0.05, 1.0, 10.0, 30.0]))
            server = chance.choice(servers)
            match chance.choice(events):
                case "suspend":
                    await server.suspend(chance.choice([1, 20, 100, 400]))
                case "kill":
                    server.kill()
                    server.start()
                case "close":
                    await server.close()
                    server.start()

    async def _let_somebody_provision(self, servers: list[Server]) -> None:
        """Set properties and add columns through servers."""
        chance = self._world.chance
        while True:
            await asyncio.sleep(chance.choice([0.01, 1.0, 10.0]))
            shape = TableDefinition(
                columns=pa.schema([(chance.choice(COLUMNS), pa.string())]),
                properties={"user.number": f"{chance.randrange(100)}"},
            )
            with contextlib.suppress(LakegateError, GoneError):
                await chance.choice(servers).ensure_table(self._table, LINES, shape)

    def _catalog(self, *, reliable: bool) -> EmbeddedCatalog | RestCatalog:
        if self._is_rest:
            return RestCatalog(self._rest, self._file_io, reliable=reliable)
        uri = f"sqlite:///{self._home / 'catalog.db'}"
        return EmbeddedCatalog(self._model, self._file_io, uri, reliable=reliable)


def _some(world: World, of: tuple[str, ...]) -> list[str]:
    """Choose a random subset, sometimes of one."""
    return world.chance.sample(of, world.chance.randrange(min(len(of), 4) + 1))
