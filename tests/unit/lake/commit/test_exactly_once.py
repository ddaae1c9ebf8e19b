"""A batch with a key is applied once, however often it is sent, and to whichever server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import CommitTableResponse
from tests.testing.keyed import keyed
from tests.testing.lines import ORDERS, LinesDecoder, batch, raw_batch
from tests.testing.reading import labels, load

from lakegate.concurrency.retry import commit_policy
from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.commit import snapshot as snapshot_module
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.lake import Lake
from lakegate.lake.ledger import expiry
from lakegate.lake.ledger.entries import TableIdentity
from lakegate.lake.ledger.ledger import Ledger
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.state import TableState
from lakegate.model import Batch, TableName
from lakegate.settings import Settings


async def refusal(answer: Any) -> LakegateError:
    with pytest.raises(LakegateError) as caught:
        await answer
    return caught.value


async def test_a_key_that_was_applied_is_replayed_with_the_first_acknowledgement(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    first = await lake.append(keyed(decoder, "k", {"label": "a"}, {"label": "b"}))
    again = await lake.append(keyed(decoder, "k", {"label": "another body"}))
    assert (first.rows_ingested, first.replayed) == (2, False)
    assert again == replace(first, replayed=True)
    assert labels(catalog) == ["a", "b"]


async def test_a_replay_does_not_look_at_the_body(lake: Lake, decoder: LinesDecoder) -> None:
    await lake.append(keyed(decoder, "k", {"label": "a"}))
    again = await lake.append(
        replace(raw_batch(decoder, b"{ this is no JSON"), idempotency_key="k")
    )
    assert again.replayed
    assert decoder.calls == [1]


async def test_a_key_that_binds_its_body_is_refused_with_another_one(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    def bound(label: str) -> Batch:
        return replace(keyed(decoder, "k", {"label": label}), key_binds_body=True)

    first, same, another = await asyncio.gather(
        lake.append(bound("a")), lake.append(bound("a")), refusal(lake.append(bound("b")))
    )
    assert same == replace(first, replayed=True)
    assert another.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert await other_lake.append(bound("a")) == replace(first, replayed=True)
    refused = await refusal(other_lake.append(bound("b")))
    assert refused.code is ErrorCode.IDEMPOTENCY_KEY_REUSED
    assert labels(catalog) == ["a"]


async def test_a_key_binds_the_body_that_was_applied_not_one_that_is_being_replayed(
    lake: Lake, decoder: LinesDecoder
) -> None:
    def bound(label: str) -> Batch:
        return replace(keyed(decoder, "k", {"label": label}), key_binds_body=True)

    first = await lake.append(keyed(decoder, "k", {"label": "a"}))
    ignored, another, same = await asyncio.gather(
        lake.append(keyed(decoder, "k", {"label": "b"})),
        refusal(lake.append(bound("b"))),
        lake.append(bound("a")),
    )
    assert ignored == same == replace(first, replayed=True)
    assert another.code is ErrorCode.IDEMPOTENCY_KEY_REUSED


async def test_another_body_under_a_key_that_does_not_bind_it_is_replayed_and_logged(
    lake: Lake, decoder: LinesDecoder, caplog: pytest.LogCaptureFixture
) -> None:
    first = await lake.append(keyed(decoder, "k", {"label": "a"}))
    assert await lake.append(keyed(decoder, "k", {"label": "a"})) == replace(first, replayed=True)
    assert "another body" not in caplog.text
    assert await lake.append(keyed(decoder, "k", {"label": "b"})) == replace(first, replayed=True)
    assert "idempotency key k was sent again with another body" in caplog.text


async def test_a_replay_survives_the_server(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    first = await lake.append(keyed(decoder, "k", {"label": "a"}))
    await lake.append(batch(decoder, {"label": "b"}))
    assert await other_lake.append(keyed(decoder, "k")) == replace(first, replayed=True)
    assert labels(catalog) == ["a", "b"]


async def test_a_key_belongs_to_its_table(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    tables = [ORDERS, TableName("default", "others"), TableName("elsewhere", "orders")]
    for table in tables:
        assert not (await lake.append(keyed(decoder, "k", {"label": "a"}, table=table))).replayed
    assert [labels(catalog, table) for table in tables] == [["a"]] * 3


async def test_one_key_at_the_same_time_is_applied_once_and_all_get_its_answer(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    lakes = [lake, other_lake] * 25
    answers = await asyncio.gather(
        *(server.append(keyed(decoder, "k", {"label": "a"})) for server in lakes)
    )
    assert labels(catalog) == ["a"]
    assert len({answer.snapshot_id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 49


async def test_many_keys_on_two_servers_at_once_are_applied_once_each(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    keys = [f"{number:02d}" for number in range(40)]
    answers = await asyncio.gather(
        *(
            server.append(keyed(decoder, key, {"label": key}))
            for server, order in ((lake, keys), (other_lake, keys[::-1]))
            for key in order
        )
    )
    assert labels(catalog) == keys
    assert sum(answer.replayed for answer in answers) == len(keys)


async def test_a_bad_body_leaves_its_key_free(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    bad = replace(raw_batch(decoder, b"{"), idempotency_key="k")
    good = keyed(decoder, "other", {"label": "a"})
    refused, accepted = await asyncio.gather(refusal(lake.append(bad)), lake.append(good))
    assert refused.code is ErrorCode.BAD_REQUEST_BODY
    assert not accepted.replayed
    corrected = await lake.append(keyed(decoder, "k", {"label": "b"}))
    assert not corrected.replayed
    assert labels(catalog) == ["a", "b"]


async def test_when_the_first_of_a_key_fails_the_second_takes_its_place(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    bad = replace(raw_batch(decoder, b"{"), idempotency_key="k")
    refused, accepted, replayed = await asyncio.gather(
        refusal(lake.append(bad)),
        lake.append(keyed(decoder, "k", {"label": "a"})),
        lake.append(keyed(decoder, "k", {"label": "a"})),
    )
    assert refused.code is ErrorCode.BAD_REQUEST_BODY
    assert (accepted.replayed, replayed.replayed) == (False, True)
    assert labels(catalog) == ["a"]


async def test_when_the_sender_of_the_first_leaves_the_second_gets_the_answer(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    first = asyncio.ensure_future(lake.append(keyed(decoder, "k", {"label": "a"})))
    second = asyncio.ensure_future(lake.append(keyed(decoder, "k", {"label": "a"})))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).rows_ingested == 1
    assert labels(catalog) == ["a"]


async def test_a_batch_without_rows_is_replayed_too(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    empty = await lake.append(keyed(decoder, "k"))
    await lake.append(batch(decoder, {"label": "b"}))
    assert empty.rows_ingested == 0
    assert await lake.append(keyed(decoder, "k", {"label": "c"})) == replace(empty, replayed=True)
    assert labels(catalog) == ["a", "b"]


async def test_what_another_server_has_is_waited_for(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """The other server claims, and is slow with its commit."""
    await lake.append(batch(decoder, {"label": "first"}))
    hold = asyncio.Event()
    claimed = asyncio.Event()
    _pause_before_commit(other_lake, claimed, hold)
    slow = asyncio.ensure_future(other_lake.append(keyed(decoder, "k", {"label": "a"})))
    await claimed.wait()
    waits = asyncio.ensure_future(lake.append(keyed(decoder, "k", {"label": "a"})))
    while not lake._committer(ORDERS).exactly_once.lease_waits:  # noqa: ASYNC110 - nothing to wait for
        await asyncio.sleep(0)
    assert not (await lake.append(batch(decoder, {"label": "others go on"}))).replayed
    hold.set()
    assert await waits == replace(await slow, replayed=True)
    assert labels(catalog) == ["a", "first", "others go on"]


async def test_the_deadline_of_a_request_that_waits_for_another_server_holds(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "first"}))
    hold, claimed = asyncio.Event(), asyncio.Event()
    _pause_before_commit(other_lake, claimed, hold)
    slow = asyncio.ensure_future(other_lake.append(keyed(decoder, "k", {"label": "a"})))
    await claimed.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lake.append(keyed(decoder, "k", {"label": "a"})), 0.05)
    hold.set()
    await slow
    assert labels(catalog) == ["a", "first"]


async def test_a_slow_server_whose_claim_was_taken_over_does_not_commit(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """Its lease is over while its commit is on the way; both end with one and the same answer."""
    no_lease = settings.model_copy(update={"ledger_lease_seconds": 0})
    async with _two_lakes(no_lease) as (lake, slow_lake):
        await lake.append(batch(decoder, {"label": "first"}))
        hold, claimed = asyncio.Event(), asyncio.Event()
        _pause_before_commit(slow_lake, claimed, hold)
        slow = asyncio.ensure_future(slow_lake.append(keyed(decoder, "k", {"label": "a"})))
        neighbour = asyncio.ensure_future(slow_lake.append(keyed(decoder, "n", {"label": "b"})))
        await claimed.wait()
        taken_over = await lake.append(keyed(decoder, "k", {"label": "a"}))
        assert not taken_over.replayed
        hold.set()
        assert await slow == replace(taken_over, replayed=True)
        assert not (await neighbour).replayed
        assert labels(catalog) == ["a", "b", "first"]


async def test_a_slow_server_that_commits_just_before_it_is_taken_over_is_found(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """The taker looks, finds nothing, claims; then the slow commit comes through before its own."""
    no_lease = settings.model_copy(update={"ledger_lease_seconds": 0})
    async with _two_lakes(no_lease) as (lake, slow_lake):
        await lake.append(batch(decoder, {"label": "first"}))
        slow_holds, slow_claimed = asyncio.Event(), asyncio.Event()
        _pause_before_commit(slow_lake, slow_claimed, slow_holds)
        slow = asyncio.ensure_future(slow_lake.append(keyed(decoder, "k", {"label": "a"})))
        await slow_claimed.wait()
        holds, claimed = asyncio.Event(), asyncio.Event()
        _pause_before_commit(lake, claimed, holds)
        taker = asyncio.ensure_future(lake.append(keyed(decoder, "k", {"label": "a"})))
        await claimed.wait()
        slow_holds.set()
        first = await slow
        holds.set()
        assert not first.replayed
        assert await taker == replace(first, replayed=True)
        assert labels(catalog) == ["a", "first"]


@pytest.mark.parametrize("taken_by_the_same_server", [True, False])
async def test_a_commit_that_was_never_settled_is_found_by_its_retry(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder, *, taken_by_the_same_server: bool
) -> None:
    """The answer to the retry is the one that the first request would have had."""
    async with _two_lakes(settings) as (lake, other_lake):
        batches = [keyed(decoder, "k", {"label": "a"}, {"label": "b"}), keyed(decoder, "n")]
        with _unsettled():
            first, *_ = await asyncio.gather(*map(lake.append, batches))
        await lake.append(batch(decoder, {"label": "c"}))
        retried = lake if taken_by_the_same_server else other_lake
        assert await retried.append(keyed(decoder, "k")) == replace(first, replayed=True)
        assert (await retried.append(keyed(decoder, "n"))).rows_ingested == 0
        assert labels(catalog) == ["a", "b", "c"]


async def test_a_snapshot_that_a_retry_may_look_for_is_never_expired(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    few = settings.model_copy(update={"snapshots_kept": 4, "snapshots_kept_seconds": 0})
    async with _two_lakes(few) as (lake, other_lake):
        with _unsettled():
            first = await lake.append(keyed(decoder, "k", {"label": "0"}))
        for number in range(1, 7):
            await lake.append(batch(decoder, {"label": str(number)}))
        assert first.snapshot_id in _snapshots(catalog)
        assert len(_snapshots(catalog)) == 4 + 2  # the newest, and the one looked for
        assert await other_lake.append(keyed(decoder, "k")) == replace(first, replayed=True)
        await lake.append(batch(decoder, {"label": "7"}))
        assert first.snapshot_id not in _snapshots(catalog)
        assert labels(catalog) == list("01234567")


async def test_maintenance_does_not_expire_a_snapshot_that_a_retry_may_look_for(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    policy = replace(MaintenancePolicy.of(settings), retention=Retention(1, others_age_ms=-1000))
    maintenance = Maintenance(catalog, policy)
    async with _two_lakes(settings) as (lake, other_lake):
        with _unsettled():
            first = await lake.append(keyed(decoder, "k", {"label": "0"}))
        for number in range(1, 4):
            newest = await lake.append(batch(decoder, {"label": str(number)}))
        await asyncio.to_thread(maintenance.expire, ORDERS)
        assert _snapshots(catalog) == [first.snapshot_id, newest.snapshot_id]
        assert await other_lake.append(keyed(decoder, "k")) == replace(first, replayed=True)
        await asyncio.to_thread(maintenance.expire, ORDERS)
        assert _snapshots(catalog) == [newest.snapshot_id]


async def test_a_key_is_forgotten_when_its_time_is_over(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "INTERVAL_SECONDS", 0.001)
    brief = settings.model_copy(update={"ledger_ttl_hours": 1e-9, "ledger_lease_seconds": 0})
    async with _two_lakes(brief) as (lake, _):
        await lake.append(keyed(decoder, "k", {"label": "a"}))
        while (await lake.append(keyed(decoder, "k", {"label": "b"}))).replayed:
            pass
        assert labels(catalog) == ["a", "b"]


async def test_a_ledger_that_goes_away_before_the_claim_costs_only_those_with_a_key(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    _break(monkeypatch, "claim")
    refused, accepted = await asyncio.gather(
        refusal(lake.append(keyed(decoder, "k", {"label": "b"}))),
        lake.append(batch(decoder, {"label": "c"})),
    )
    assert refused.code is ErrorCode.UNAVAILABLE
    assert not accepted.replayed
    assert labels(catalog) == ["a", "c"]
    monkeypatch.undo()
    assert not (await lake.append(keyed(decoder, "k", {"label": "b"}))).replayed


async def test_a_commit_whose_outcome_is_unknown_is_not_made_twice_by_its_retry(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "first"}))
    commit = LeanSqlCatalog.commit_table

    def come_through_and_fail(*args: Any) -> CommitTableResponse:
        commit(*args)
        monkeypatch.setattr(LeanSqlCatalog, "commit_table", fail)
        raise CommitStateUnknownException("the connection broke")

    def fail(*_args: Any) -> CommitTableResponse:
        raise CommitStateUnknownException("the connection is broken")

    monkeypatch.setattr(LeanSqlCatalog, "commit_table", come_through_and_fail)
    monkeypatch.setattr("lakegate.lake.commit.group_commit.load_state", fail)
    monkeypatch.setattr(lake._committer(ORDERS), "_policy", _one_attempt(lake))
    refused = await refusal(lake.append(keyed(decoder, "k", {"label": "a"})))
    monkeypatch.undo()
    assert refused.code is ErrorCode.OUTCOME_UNKNOWN
    again = await lake.append(keyed(decoder, "k", {"label": "a"}))
    assert (again.rows_ingested, again.replayed) == (1, True)
    assert labels(catalog) == ["a", "first"]


async def test_a_key_whose_commit_failed_for_good_can_be_tried_again(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "first"}))

    def fail(*_args: Any) -> TableState:
        raise CommitFailedException("another writer was faster")

    monkeypatch.setattr(snapshot_module, "commit_snapshot", fail)
    monkeypatch.setattr(lake._committer(ORDERS), "_policy", _one_attempt(lake))
    refused = await refusal(lake.append(keyed(decoder, "k", {"label": "a"})))
    monkeypatch.undo()
    assert refused.code is ErrorCode.COMMIT_CONFLICT
    orders = TableIdentity.of(ORDERS, load(catalog).metadata)
    assert lake._ledger.look_up(orders, ["key/k"])["key/k"].lease_left_ms <= 0  # no wait for it
    assert not (await lake.append(keyed(decoder, "k", {"label": "a"}))).replayed
    assert labels(catalog) == ["a", "first"]


async def test_a_key_is_unknown_to_a_table_that_is_made_anew(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(keyed(decoder, "k", {"label": "a"}))
    catalog.drop_table("default.orders")
    again = await lake.append(keyed(decoder, "k", {"label": "a"}))
    assert (again.rows_ingested, again.replayed) == (1, False)
    assert labels(catalog) == ["a"]

    catalog.drop_table("default.orders")
    await other_lake.append(batch(decoder, {"label": "by another server"}))
    assert not (await lake.append(keyed(decoder, "k", {"label": "a"}))).replayed
    assert (await other_lake.append(keyed(decoder, "k", {"label": "a"}))).replayed
    assert labels(catalog) == ["a", "by another server"]


async def test_a_key_is_known_to_its_table_under_another_name(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(keyed(decoder, "k", {"label": "a"}))
    catalog.rename_table("default.orders", "default.renamed")
    renamed = replace(keyed(decoder, "k", {"label": "a"}), table=TableName("default", "renamed"))
    assert (await lake.append(renamed)).replayed


async def test_a_keyed_batch_without_rows_makes_no_table(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    assert (await lake.append(keyed(decoder, "k"))).snapshot_id == ""
    assert (await lake.append(keyed(decoder, "k"))).snapshot_id == ""
    assert not catalog.table_exists("default.orders")


async def test_closing_ends_with_every_batch_answered(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    accepted = [
        asyncio.ensure_future(lake.append(keyed(decoder, str(n // 2), {"label": str(n // 2)})))
        for n in range(10)
    ]
    await asyncio.sleep(0)
    await lake.close()
    answers = await asyncio.gather(*accepted)
    assert sum(answer.replayed for answer in answers) == 5
    assert labels(catalog) == ["0", "1", "2", "3", "4"]


@asynccontextmanager
async def _two_lakes(settings: Settings) -> AsyncIterator[tuple[Lake, Lake]]:
    lakes = [Lake(open_catalog(settings.catalog, settings.home), settings) for _ in range(2)]
    yield lakes[0], lakes[1]
    for lake in lakes:
        await lake.close()


def _pause_before_commit(lake: Lake, claimed: asyncio.Event, hold: asyncio.Event) -> None:
    """Let the lake's next commit wait between its claim and the call of the catalog."""
    workers = lake._committer(ORDERS).table.workers
    run: Callable[..., Any] = workers.run
    patch = pytest.MonkeyPatch()

    async def slow(function: Callable[..., Any], *args: Any) -> Any:
        if getattr(function, "__name__", "") == "_commit_on":
            patch.undo()
            claimed.set()
            await hold.wait()
        return await run(function, *args)

    patch.setattr(workers, "run", slow)


@contextmanager
def _unsettled() -> Iterator[None]:
    """Let commits end as if the server had died before it could settle them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "settle", lambda *_: None)
        yield


def _break(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def fail(*_args: Any) -> None:
        raise LedgerUnavailableError("gone")

    monkeypatch.setattr(Ledger, method, fail)


def _one_attempt(lake: Lake) -> Any:
    return replace(lake._policy, retry=commit_policy(1))


def _snapshots(catalog: Catalog) -> Sequence[str]:
    return [str(snapshot.snapshot_id) for snapshot in load(catalog).snapshots()]
