"""The state of a simulation: one seed, one clock, one order of events."""

import asyncio
import random
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from pyiceberg import manifest
from pyiceberg.io import FileIO
from pyiceberg.utils.concurrent import ExecutorFactory
from sqlalchemy.exc import OperationalError
from tests.simulation.caches import computed_once
from tests.simulation.hosts import HOST, Host
from tests.simulation.loop import (
    VirtualClock,
    VirtualLoop,
    current_job,
    run_coroutine_threadsafe,
)

from lakegate import clock
from lakegate.database.engine import transaction
from lakegate.lake.commit.group_commit import GroupCommit
from lakegate.lake.commit.queued_batch import QueuedBatch

LONGEST_PAUSE_SECONDS = 200.0


@dataclass(frozen=True, slots=True)
class Weather:
    """The probabilities of faults.

    `long_pauses`: of an I/O operation that takes longer than leases and grace periods.
    """

    long_pauses: float = 0.0
    broken_storage: float = 0.0
    silent_ledger: float = 0.0
    lost_answers: float = 0.0
    refused_requests: float = 0.0
    late_requests: float = 0.0

    @classmethod
    def of(cls, chance: random.Random) -> "Weather":
        """Choose the probabilities. Some are zero, so that one fault does not hide another."""
        return cls(
            long_pauses=chance.choice([0, 0, 0.002, 0.01]),
            broken_storage=chance.choice([0, 0, 0, 0.01]),
            silent_ledger=chance.choice([0, 0, 0.03]),
            lost_answers=chance.choice([0, 0, 0.05, 0.2]),
            refused_requests=chance.choice([0, 0, 0.05]),
            late_requests=chance.choice([0, 0, 0.05]),
        )


@dataclass
class World:
    """The random numbers of the seed, the loop, the trace and the violations."""

    seed: int
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    trace: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - no secret
        self.weather = Weather.of(self.chance)
        self.violated: asyncio.Event = asyncio.Event()
        # Set at the end: there are no more faults and long pauses.
        self.calm = False
        # The access of all programs to files; set by the simulation.
        self.file_io: FileIO | None = None

    def say(self, what: str) -> None:
        """Add a line to the trace."""
        host = HOST.get()
        self.trace.append(f"{self.loop.now:10.3f} {host.name if host else '-':10} {what}")

    def violation(self, what: str) -> None:
        """Record the violation of an invariant."""
        self.say(f"VIOLATION {what}")
        self.violations.append(what)
        self.violated.set()

    def point(self, what: str) -> None:
        """Pause at an I/O operation, while other actors run."""
        if current_job().quiet:
            return
        self.say(what)
        current_job().pause(self._duration())

    def happens(self, probability: float) -> bool:
        """Whether an event of this probability happens."""
        return not self.calm and self.chance.random() < probability

    def _duration(self) -> float:
        chance = self.chance
        if self.happens(self.weather.long_pauses):
            return chance.uniform(5, LONGEST_PAUSE_SECONDS)
        if self.happens(0.02):
            return chance.uniform(0.1, 5)
        return chance.uniform(0.0002, 0.01)

    @contextmanager
    def ledger_transaction(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Replaces a transaction of the ledger, with a pause before and after it."""
        self.point("ledger")
        if self.happens(self.weather.silent_ledger):
            raise OperationalError("a transaction", {}, OSError("the ledger is away"))
        with transaction(*args, **kwargs) as connection:
            yield connection
        self.point("ledger done")
        if self.happens(self.weather.silent_ledger):
            raise OperationalError("a transaction", {}, OSError("the ledger's answer is lost"))


class _Inline(Executor):
    """Runs functions for PyIceberg's threads at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class _Time:
    """Replaces the module `time` in PyIceberg."""

    time = staticmethod(lambda: clock.now_ms() / 1000)
    monotonic = staticmethod(clock.monotonic)
    sleep = staticmethod(clock.sleep)


class _Serials:
    """Numbers objects, so that the order of a set of them is deterministic."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, object]] = {}

    @property
    def of(self) -> Any:
        known = self._known  # keeps the objects alive, so that no other one gets the same id
        return lambda each: known.setdefault(id(each), (len(known), each))[0]


def without_disk(connection: sqlite3.Connection, _record: object = None) -> None:
    """Configure a database that is not needed after this process."""
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=MEMORY")


@contextmanager
def the_only(world: World) -> Iterator[None]:
    """Make the world the only source of time, chance and threads in this process."""
    jitter = random.Random(f"jitter of {world.seed}")  # noqa: S311 - no secret
    ids = random.Random(f"ids of {world.seed}")  # noqa: S311 - no secret
    clock_before = clock.install(VirtualClock(world.loop))
    now_ms = mock.Mock(side_effect=lambda _: clock.now_ms())
    replaced: dict[str, Any] = {
        "random.uniform": jitter.uniform,
        "uuid.uuid4": lambda: uuid.UUID(int=ids.getrandbits(128), version=4),
        "asyncio.run_coroutine_threadsafe": run_coroutine_threadsafe,
        "pyiceberg.table.time": _Time,
        "pyiceberg.table.snapshots.time": _Time,
        "pyiceberg.table.update.datetime_to_millis": now_ms,
        "pyiceberg.table.metadata.datetime_to_millis": now_ms,
        "pyiceberg.catalog.sql.load_file_io": lambda *_, **__: world.file_io,
        "lakegate.lake.ledger.ledger.transaction": world.ledger_transaction,
        "lakegate.database.engine.prepare_connection": without_disk,
    }
    with ExitStack() as stack:
        for name, replacement in replaced.items():
            stack.enter_context(mock.patch(name, replacement))
        stack.enter_context(mock.patch.object(ExecutorFactory, "get_or_create", _Inline))
        stack.enter_context(mock.patch.object(manifest._manifest_cache, "_cache", None))
        for walked in (QueuedBatch, GroupCommit):
            stack.enter_context(mock.patch.object(walked, "__hash__", _Serials().of))
        stack.enter_context(computed_once())
        try:
            yield
        finally:
            world.loop.end(world.hosts)
            clock.install(clock_before)
