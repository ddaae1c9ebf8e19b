"""A catalog that does not answer: no commit is made twice, or reported as failed if it was made."""

import asyncio
import threading
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import CommitTableResponse
from sqlalchemy.exc import OperationalError
from tests.testing.commits import AroundCommit, Commit, allow_one_attempt, refusal
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import labels, load

from lakegate.errors import ErrorCode
from lakegate.lake.commit import group_commit
from lakegate.lake.lake import Lake
from lakegate.lake.table import cached_table

pytestmark = pytest.mark.usefixtures("short_backoffs")


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder, around_commit: AroundCommit
) -> None:
    def commit_then_fail(commit: Commit) -> None:
        commit()
        raise CommitStateUnknownException("the connection broke")

    around_commit(commit_then_fail)
    done = await warm_lake.append(batch(decoder, {"label": "b"}))
    assert labels(catalog) == ["a", "b"]
    assert labels(catalog, snapshot_id=done.snapshot_id) == ["a", "b"]


async def test_a_commit_that_came_through_is_never_reported_as_failed(
    warm_lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: AroundCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def storage_fails(*_: Any) -> None:
        raise OSError("the disk is gone")

    def commit_then_fail_for_good(commit: Commit) -> None:
        commit()
        for module in (cached_table, group_commit):
            monkeypatch.setattr(module, "load_state", storage_fails)
        raise CommitStateUnknownException("the connection broke")

    around_commit(commit_then_fail_for_good)
    refused = await refusal(warm_lake.append(batch(decoder, {"label": "b"})))
    assert refused.code is ErrorCode.OUTCOME_UNKNOWN
    assert "same idempotency key" in refused.message
    assert labels(catalog) == ["a", "b"]


async def test_a_commit_in_doubt_whose_snapshot_another_engine_has_expired_is_not_repeated(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder, around_commit: AroundCommit
) -> None:
    def commit_then_expire_then_fail(commit: Commit) -> None:
        commit()
        around_commit(lambda commit: commit())
        table = load(catalog)
        ours = table.metadata.current_snapshot_id
        assert ours is not None
        table.append(pa.table({"label": ["theirs"]}))
        table.maintenance.expire_snapshots().by_id(ours).commit()
        raise CommitStateUnknownException("the connection broke")

    around_commit(commit_then_expire_then_fail)
    refused = await refusal(warm_lake.append(batch(decoder, {"label": "b"})))
    assert refused.code is ErrorCode.OUTCOME_UNKNOWN
    assert labels(catalog) == ["a", "b", "theirs"]


async def test_an_answer_without_the_snapshot_is_no_acknowledgement(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder, around_commit: AroundCommit
) -> None:
    def answer_to_something_else(_: Commit) -> CommitTableResponse:
        table = load(catalog)
        return CommitTableResponse(
            metadata=table.metadata, metadata_location=table.metadata_location
        )

    around_commit(answer_to_something_else)
    assert (await refusal(warm_lake.append(batch(decoder, {"label": "b"})))).code is (
        ErrorCode.OUTCOME_UNKNOWN
    )
    assert labels(catalog) == ["a"]


async def test_after_the_last_attempt_the_table_is_checked_once_more(
    warm_lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: AroundCommit,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allow_one_attempt(warm_lake, monkeypatch)

    def commit_twice(commit: Commit) -> None:  # as a gateway may that repeats a request
        commit()
        raise CommitFailedException("the table was changed meanwhile")

    around_commit(commit_twice)
    done = await warm_lake.append(batch(decoder, {"label": "b"}))
    assert labels(catalog, snapshot_id=done.snapshot_id) == ["a", "b"]


async def test_aborting_reports_for_each_batch_whether_it_may_be_committed(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder, around_commit: AroundCommit
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def commit_late(commit: Commit) -> CommitTableResponse:
        asked.set()
        assert answer.wait(60)
        return commit()

    around_commit(commit_late)
    sent = asyncio.ensure_future(warm_lake.append(batch(decoder, {"label": "sent"})))
    await asyncio.to_thread(asked.wait, 60)
    waiting = asyncio.ensure_future(warm_lake.append(batch(decoder, {"label": "waiting"})))
    await asyncio.sleep(0)
    warm_lake.abort()
    codes = [(await refusal(each)).code for each in (sent, waiting)]
    assert codes == [ErrorCode.OUTCOME_UNKNOWN, ErrorCode.UNAVAILABLE]
    assert (await refusal(warm_lake.append(batch(decoder, {"label": "new"})))).code is (
        ErrorCode.UNAVAILABLE
    )
    answer.set()
    await warm_lake.close()
    assert labels(catalog) == ["a", "sent"]


def catalog_gone(_: Commit) -> None:
    raise OperationalError("UPDATE", {}, Exception("the database does not answer"))


async def test_a_catalog_that_is_gone_is_unavailable_and_the_next_commit_works(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder, around_commit: AroundCommit
) -> None:
    around_commit(catalog_gone)
    refused = await refusal(warm_lake.append(batch(decoder, {"label": "b"})))
    assert refused.code is ErrorCode.UNAVAILABLE
    assert "cannot be reached" in refused.message
    around_commit(lambda commit: commit())
    await warm_lake.append(batch(decoder, {"label": "c"}))
    assert labels(catalog) == ["a", "c"]


async def test_a_catalog_that_comes_back_is_waited_for(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder, around_commit: AroundCommit
) -> None:
    failures = iter(range(5))

    def gone_for_a_while(commit: Commit) -> CommitTableResponse:
        if next(failures, None) is not None:
            catalog_gone(commit)
        return commit()

    around_commit(gone_for_a_while)
    await warm_lake.append(batch(decoder, {"label": "b"}))
    assert labels(catalog) == ["a", "b"]
