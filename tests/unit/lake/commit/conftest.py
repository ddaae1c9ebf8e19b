from collections.abc import Callable
from typing import Any

import pytest
from pyiceberg.table import CommitTableResponse
from tests.testing.commits import AroundCommit, Commit
from tests.testing.lines import LinesDecoder, batch

from lakegate.concurrency import retry
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.lake import Lake


@pytest.fixture
def short_backoffs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "LONGEST_BACKOFF_SECONDS", 0.02)


@pytest.fixture
async def warm_lake(lake: Lake, decoder: LinesDecoder) -> Lake:
    """A server that has committed the label `a`, and keeps the state of the table in memory."""
    await lake.append(batch(decoder, {"label": "a"}))
    return lake


@pytest.fixture
def around_commit(monkeypatch: pytest.MonkeyPatch) -> AroundCommit:
    original = LeanSqlCatalog.commit_table

    def install(wrapper: Callable[[Commit], Any]) -> None:
        def commit_table(self: LeanSqlCatalog, *args: Any) -> CommitTableResponse:
            return wrapper(lambda: original(self, *args))  # type: ignore[no-any-return] # a wrapper returns what it is given

        monkeypatch.setattr(LeanSqlCatalog, "commit_table", commit_table)

    return install
