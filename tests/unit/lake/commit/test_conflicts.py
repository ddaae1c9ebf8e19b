"""Other writers commit to the same table at any time, and nothing is lost or doubled."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import CommitTableResponse
from sqlalchemy.exc import OperationalError
from tests.testing.lines import COLUMNS, ORDERS, LinesDecoder, batch
from tests.testing.passing_clock import HOUR, passing_clock
from tests.testing.reading import duckdb_rows, labels, load

from lakegate.concurrency import retry
from lakegate.concurrency.retry import commit_policy
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.commit import group_commit
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.lake import Lake
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.table import cached_table
from lakegate.settings import Settings

Commit = Callable[..., CommitTableResponse]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "LONGEST_BACKOFF_SECONDS", 0.02)


@pytest.fixture
def around_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Commit], Any]], None]:
    """Let a function stand around each commit: it is given the commit to call, or not."""
    original = LeanSqlCatalog.commit_table

    def install(wrapper: Callable[[Commit], Any]) -> None:
        def commit_table(self: LeanSqlCatalog, *args: Any) -> CommitTableResponse:
            return wrapper(lambda: original(self, *args))  # type: ignore[no-any-return] # a wrapper returns what it is given

        monkeypatch.setattr(LeanSqlCatalog, "commit_table", commit_table)

    return install


async def test_an_append_of_another_engine_stays(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "ours"}))
    load(catalog).append(pa.table({"label": ["theirs"]}))
    await lake.append(batch(decoder, {"label": "ours again"}))
    assert labels(catalog) == duckdb_rows(catalog) == ["ours", "ours again", "theirs"]
    summary = load(catalog).current_snapshot().summary  # type: ignore[union-attr] # there is one
    assert summary is not None
    assert summary["total-records"] == "3"


async def test_two_lakes_on_one_catalog_lose_and_double_nothing(
    lake: Lake, settings: Settings, catalog: Catalog
) -> None:
    other = Lake(open_catalog(settings.catalog, settings.home), settings)

    async def send(lake: Lake, prefix: str) -> None:
        for number in range(25):
            await lake.append(batch(LinesDecoder(), {"label": f"{prefix}{number:02d}"}))

    await asyncio.gather(send(lake, "a"), send(other, "b"))
    await other.close()
    assert labels(catalog) == [f"{p}{n:02d}" for p in "ab" for n in range(25)]


async def test_data_files_are_kept_over_the_attempts_of_a_commit(
    lake: Lake, settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    load(catalog).append(pa.table({"label": ["theirs"]}))
    await lake.append(batch(decoder, {"label": "b"}))
    assert len(list(settings.warehouse.rglob("*.parquet"))) == 3


async def test_after_the_last_attempt_the_message_says_conflict(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    attempts = []

    def always_late(_: Commit) -> None:
        attempts.append(1)
        raise CommitFailedException("somebody was faster")

    around_commit(always_late)
    with pytest.raises(LakegateError, match="Conflict") as caught:
        await lake.append(batch(decoder, {"label": "b"}))
    assert caught.value.code is ErrorCode.COMMIT_CONFLICT
    assert len(attempts) == 20
    assert labels(catalog) == ["a"]


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))

    def commit_then_fail(commit: Commit) -> None:
        commit()
        raise CommitStateUnknownException("the connection broke")

    around_commit(commit_then_fail)
    done = await lake.append(batch(decoder, {"label": "b"}))
    assert labels(catalog) == ["a", "b"]
    assert labels(catalog, snapshot_id=done.snapshot_id) == ["a", "b"]


async def test_a_commit_that_came_through_is_never_reported_as_failed(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))

    def storage_fails(*_: Any) -> None:
        raise OSError("the disk is gone")

    def commit_then_fail_for_good(commit: Commit) -> None:
        commit()
        for module in (cached_table, group_commit):
            monkeypatch.setattr(module, "load_state", storage_fails)
        raise CommitStateUnknownException("the connection broke")

    around_commit(commit_then_fail_for_good)
    with pytest.raises(LakegateError) as caught:
        await lake.append(batch(decoder, {"label": "b"}))
    assert caught.value.code is ErrorCode.OUTCOME_UNKNOWN
    assert "same idempotency key" in caught.value.message
    assert labels(catalog) == ["a", "b"]


async def test_a_commit_in_doubt_whose_snapshot_another_engine_has_expired_is_not_repeated(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))

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
    with pytest.raises(LakegateError) as caught:
        await lake.append(batch(decoder, {"label": "b"}))
    assert caught.value.code is ErrorCode.OUTCOME_UNKNOWN
    assert labels(catalog) == ["a", "b", "theirs"]


async def test_an_answer_without_the_snapshot_is_no_acknowledgement(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))

    def answer_to_something_else(_: Commit) -> CommitTableResponse:
        table = load(catalog)
        return CommitTableResponse(
            metadata=table.metadata, metadata_location=table.metadata_location
        )

    around_commit(answer_to_something_else)
    assert (await refusal(lake.append(batch(decoder, {"label": "b"})))).code is (
        ErrorCode.OUTCOME_UNKNOWN
    )
    assert labels(catalog) == ["a"]


async def test_the_last_attempt_is_looked_for_once_more(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    committer = lake._committer(ORDERS)
    monkeypatch.setattr(committer, "_policy", replace(committer._policy, retry=commit_policy(1)))

    def commit_twice(commit: Commit) -> None:  # as a gateway may that repeats a request
        commit()
        raise CommitFailedException("the table was changed meanwhile")

    around_commit(commit_twice)
    done = await lake.append(batch(decoder, {"label": "b"}))
    assert labels(catalog, snapshot_id=done.snapshot_id) == ["a", "b"]


async def test_a_batch_in_doubt_is_not_refused_for_good_when_the_ledger_goes_away(
    lake: Lake,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))

    def lose_the_answer(_: Commit) -> None:
        def unavailable(*_: Any) -> None:
            raise LedgerUnavailableError("it is gone")

        monkeypatch.setattr(Ledger, "renew", unavailable)
        raise CommitStateUnknownException("the connection broke")

    around_commit(lose_the_answer)
    keyed = replace(batch(decoder, {"label": "b"}), idempotency_key="k")
    unkeyed = batch(decoder, {"label": "c"})
    answers = [asyncio.ensure_future(lake.append(each)) for each in (keyed, unkeyed)]
    codes = [(await refusal(each)).code for each in answers]
    assert codes == [ErrorCode.OUTCOME_UNKNOWN] * 2


async def test_times_in_the_metadata_never_go_back(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    with passing_clock() as time:
        time.pass_(-HOUR)
        await lake.append(batch(decoder, {"label": "b", "new": "x"}))
        await lake.append(batch(decoder, {"label": "c"}))
    metadata = load(catalog).metadata
    times = [entry.timestamp_ms for entry in metadata.snapshot_log]
    assert times == sorted(times)
    assert metadata.last_updated_ms >= times[-1]


async def test_giving_up_reports_of_each_batch_whether_it_may_be_committed(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    asked, answer = threading.Event(), threading.Event()

    def commit_late(commit: Commit) -> CommitTableResponse:
        asked.set()
        assert answer.wait(60)
        return commit()

    around_commit(commit_late)
    sent = asyncio.ensure_future(lake.append(batch(decoder, {"label": "sent"})))
    await asyncio.to_thread(asked.wait, 60)
    waiting = asyncio.ensure_future(lake.append(batch(decoder, {"label": "waiting"})))
    await asyncio.sleep(0)
    lake.abort()
    codes = [(await refusal(each)).code for each in (sent, waiting)]
    assert codes == [ErrorCode.OUTCOME_UNKNOWN, ErrorCode.UNAVAILABLE]
    assert (await refusal(lake.append(batch(decoder, {"label": "new"})))).code is (
        ErrorCode.UNAVAILABLE
    )
    answer.set()
    await lake.close()
    assert labels(catalog) == ["a", "sent"]


async def refusal(answer: Awaitable[object]) -> LakegateError:
    with pytest.raises(LakegateError) as caught:
        await answer
    return caught.value


async def test_a_table_dropped_and_made_anew_is_written_as_the_new_one(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "old", "extra": "x"}))
    catalog.drop_table("default.orders")
    catalog.create_table(
        "default.orders", pa.schema([("other", pa.string()), ("label", pa.string())])
    )
    await lake.append(batch(decoder, {"label": "new", "extra": "y"}))
    assert duckdb_rows(catalog, "other, label, extra") == [(None, "new", "y")]


async def test_a_dropped_table_is_made_again_only_for_those_who_let_it_be_made(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "old"}))
    catalog.drop_table("default.orders")
    with pytest.raises(LakegateError) as caught:
        await lake.append(batch(decoder, {"label": "no"}, auto_create=False))
    assert caught.value.code is ErrorCode.TABLE_NOT_FOUND
    await lake.append(batch(decoder, {"label": "new"}))
    assert labels(catalog) == ["new"]


async def test_two_servers_that_widen_at_once_end_with_the_union(
    lake: Lake, settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    other = Lake(open_catalog(settings.catalog, settings.home), settings)
    await other.append(batch(LinesDecoder(), {"label": "b"}))
    await asyncio.gather(
        lake.append(batch(decoder, {"label": "c", "x": "1", "shared": "2"})),
        other.append(batch(LinesDecoder(), {"label": "d", "y": "3", "shared": "4"})),
    )
    await other.close()
    assert duckdb_rows(catalog, "label, x, y, shared") == [
        ("a", None, None, None),
        ("b", None, None, None),
        ("c", "1", None, "2"),
        ("d", None, "3", "4"),
    ]


async def test_a_column_that_another_writer_made_otherwise_is_decoded_as_it_is_now(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))  # the state is warm: without `n`
    with load(catalog).update_schema() as update:
        update.union_by_name(pa.schema([*COLUMNS, ("n", pa.int64())]))
    # The decoder makes an unknown field a string; after the conflict, it finds a number.
    await lake.append(batch(decoder, {"label": "b", "n": 7}))
    assert duckdb_rows(catalog, "label, n") == [("a", None), ("b", 7)]


async def test_rows_that_were_prepared_for_a_column_renamed_since_get_a_column_of_their_own(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    with load(catalog).update_schema() as update:
        update.rename_column("label", "name")
    await lake.append(batch(decoder, {"label": "b"}))  # prepared for the old name
    assert duckdb_rows(catalog, "name, label") == [("a", None), (None, "b")]


def catalog_gone(_: Commit) -> None:
    raise OperationalError("UPDATE", {}, Exception("the database does not answer"))


async def test_a_catalog_that_is_gone_is_unavailable_and_the_next_commit_works(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    around_commit(catalog_gone)
    with pytest.raises(LakegateError) as caught:
        await lake.append(batch(decoder, {"label": "b"}))
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert "cannot be reached" in caught.value.message
    around_commit(lambda commit: commit())
    await lake.append(batch(decoder, {"label": "c"}))
    assert labels(catalog) == ["a", "c"]


async def test_a_catalog_that_comes_back_is_waited_for(
    lake: Lake,
    catalog: Catalog,
    decoder: LinesDecoder,
    around_commit: Callable[[Callable[[Commit], Any]], None],
) -> None:
    failures = iter(range(5))

    def gone_for_a_while(commit: Commit) -> CommitTableResponse:
        if next(failures, None) is not None:
            catalog_gone(commit)
        return commit()

    await lake.append(batch(decoder, {"label": "a"}))
    around_commit(gone_for_a_while)
    await lake.append(batch(decoder, {"label": "b"}))
    assert labels(catalog) == ["a", "b"]
