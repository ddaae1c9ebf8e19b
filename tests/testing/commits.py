"""Commits that other writers, a lost answer or a crash come between, for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pyiceberg.table import CommitTableResponse
from tests.testing.lines import ORDERS

from lakegate.concurrency.retry import commit_policy
from lakegate.errors import LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.ledger.ledger import Ledger
from lakegate.settings import Settings

Commit = Callable[[], CommitTableResponse]
# Installs a function that is called in place of each commit, with the commit as its argument.
AroundCommit = Callable[[Callable[[Commit], Any]], None]


async def refusal(answer: Awaitable[object]) -> LakegateError:
    """Return the error that a request is refused with."""
    with pytest.raises(LakegateError) as caught:
        await answer
    return caught.value


@asynccontextmanager
async def two_lakes(settings: Settings) -> AsyncIterator[tuple[Lake, Lake]]:
    """Two servers on one catalog and one ledger."""
    lakes = [Lake(open_catalog(settings.catalog, settings.home), settings) for _ in range(2)]
    yield lakes[0], lakes[1]
    for lake in lakes:
        await lake.close()


def pause_before_commit(lake: Lake, claimed: asyncio.Event, resume: asyncio.Event) -> None:
    """Pause the next commit to `orders` between its claim and the call of the catalog."""
    workers = lake._committer(ORDERS).table.workers
    run: Callable[..., Any] = workers.run
    patch = pytest.MonkeyPatch()

    async def slow(function: Callable[..., Any], *args: Any) -> Any:
        if getattr(function, "__name__", "") == "_commit_on":
            patch.undo()
            claimed.set()
            await resume.wait()
        return await run(function, *args)

    patch.setattr(workers, "run", slow)


@contextmanager
def unsettled() -> Iterator[None]:
    """Commits end as if the server had died before it could settle them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "settle", lambda *_: None)
        yield


def allow_one_attempt(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse commits to `orders` after their first attempt."""
    committer = lake._committer(ORDERS)
    monkeypatch.setattr(committer, "_policy", replace(committer._policy, retry=commit_policy(1)))
