"""An engine that deletes, compacts, alters and reads a table beside ingest into it."""

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from tests.testing.servers.cluster import Cluster
from tests.testing.servers.traffic import Answers, Batch, Load, assert_promise_kept, send_all

# For longer: LAKEGATE_TEST_SECONDS=600.
SECONDS = float(os.environ.get("LAKEGATE_TEST_SECONDS", "60"))
# Between two batches of a sender: engines try a commit a few times only, and must have a chance.
PAUSE_SECONDS = 1.0
TABLE = "lake.default.orders"
DELETED_AT_ONCE = 5  # batches
ATTEMPTS = 20  # as the servers have for a commit


class StatementError(Exception):
    """A statement failed."""


class ConflictError(StatementError):
    """A statement did nothing because another commit came first; it may be run again."""


class Engine(Protocol):
    """Runs SQL statements; raises `StatementError` where one fails."""

    def execute(self, sql: str) -> list[list[Any]]: ...


@dataclass(frozen=True)
class Dialect:
    """What engines say differently: the type of texts, and to compact.

    `column_every`: how many batches bring a new column; 0 is none.
    """

    text: str
    compact: str
    column_every: int = 20


async def assert_engine_works_beside_ingest(
    engine: Engine, dialect: Dialect, cluster: Cluster
) -> None:
    """Ingest while the engine works: its statements succeed, and every row is as both left it."""
    answers = Answers()
    await send_all(cluster.servers, answers, [0], Load(senders=1))  # makes the table
    pace = Load(column_every=dialect.column_every, pause=PAUSE_SECONDS)
    ingest = asyncio.ensure_future(send_all(cluster.servers, answers, _until(SECONDS), pace))
    try:
        for turn in itertools.count():
            await asyncio.to_thread(_work, engine, dialect, turn, answers)
            if ingest.done():
                break
    finally:
        ingest.cancel()
        await asyncio.wait({ingest})
    await ingest
    assert answers.refused == {}
    assert_promise_kept(cluster.catalog, answers)
    seen = engine.execute(f"SELECT label FROM {TABLE} ORDER BY label")  # noqa: S608 - its own words
    acknowledged = {label for batch in answers.acknowledged for label in batch.labels}
    assert [label for (label,) in seen] == sorted(acknowledged - answers.deleted)


def _until(seconds: float) -> Iterator[int]:
    """Count from 1 for so long."""
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count(1))


def _work(engine: Engine, dialect: Dialect, turn: int, answers: Answers) -> None:
    """Do once all that engines do to tables."""
    doomed = _doomed(answers)
    listed = ", ".join(f"'{label}'" for label in doomed)
    _execute(engine, f"DELETE FROM {TABLE} WHERE label IN ({listed})")  # noqa: S608 - a test's own words
    answers.deleted.update(doomed)
    _execute(engine, f"ALTER TABLE {TABLE} ADD COLUMN own_{turn} {dialect.text}")
    _execute(engine, dialect.compact)
    _execute(engine, f"ALTER TABLE {TABLE} RENAME COLUMN own_{turn} TO renamed_{turn}")
    acknowledged = {label for batch in list(answers.acknowledged) for label in batch.labels}
    seen = _execute(engine, f"SELECT label FROM {TABLE} WHERE renamed_{turn} IS NULL")  # noqa: S608 - a test's own words
    assert acknowledged - answers.deleted <= {label for (label,) in seen}
    _execute(engine, f"ALTER TABLE {TABLE} DROP COLUMN renamed_{turn}")


def _execute(engine: Engine, sql: str) -> list[list[Any]]:
    """Run a statement, again where another commit came first."""
    for _ in range(ATTEMPTS - 1):
        with suppress(ConflictError):
            return engine.execute(sql)
    return engine.execute(sql)


def _doomed(answers: Answers) -> list[str]:
    """Return all rows of a batch and one row of some others."""
    there = [
        batch for batch in answers.acknowledged if not answers.deleted.intersection(batch.labels)
    ]
    whole, *others = _spread(there)
    return [*whole.labels, *(batch.labels[0] for batch in others)]


def _spread(batches: list[Batch]) -> list[Batch]:
    """Return a few from all over what has been sent."""
    return batches[:: max(1, len(batches) // DELETED_AT_ONCE)]
