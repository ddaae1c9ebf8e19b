"""A commit that was not settled is found by its retry, for as long as its snapshot is kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import CommitTableResponse
from tests.testing.commits import allow_one_attempt, refusal, two_lakes, unsettled
from tests.testing.keyed import keyed
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.reading import labels, load

from lakegate.errors import ErrorCode
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.commit import snapshot as snapshot_module
from lakegate.lake.lake import Lake
from lakegate.lake.ledger.entries import TableIdentity
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.lake.table.state import TableState
from lakegate.settings import Settings


@pytest.mark.parametrize("taken_by_the_same_server", [True, False])
async def test_a_commit_that_was_never_settled_is_found_by_its_retry(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder, *, taken_by_the_same_server: bool
) -> None:
    """The answer to the retry is the one that the first request would have had."""
    async with two_lakes(settings) as (lake, other_lake):
        batches = [keyed(decoder, "k", {"label": "a"}, {"label": "b"}), keyed(decoder, "n")]
        with unsettled():
            first, *_ = await asyncio.gather(*map(lake.append, batches))
        await lake.append(batch(decoder, {"label": "c"}))
        retried = lake if taken_by_the_same_server else other_lake
        assert await retried.append(keyed(decoder, "k")) == replace(first, replayed=True)
        assert (await retried.append(keyed(decoder, "n"))).rows_ingested == 0
        assert labels(catalog) == ["a", "b", "c"]


async def test_the_snapshot_of_a_pending_entry_is_never_expired(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    few = settings.model_copy(update={"snapshots_kept": 4, "snapshots_kept_seconds": 0})
    async with two_lakes(few) as (lake, other_lake):
        with unsettled():
            first = await lake.append(keyed(decoder, "k", {"label": "0"}))
        for number in range(1, 7):
            await lake.append(batch(decoder, {"label": str(number)}))
        assert first.snapshot_id in snapshot_ids(catalog)
        assert len(snapshot_ids(catalog)) == 4 + 2  # the newest, and that of the pending entry
        assert await other_lake.append(keyed(decoder, "k")) == replace(first, replayed=True)
        await lake.append(batch(decoder, {"label": "7"}))
        assert first.snapshot_id not in snapshot_ids(catalog)
        assert labels(catalog) == list("01234567")


async def test_maintenance_does_not_expire_the_snapshot_of_a_pending_entry(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    policy = replace(MaintenancePolicy.of(settings), retention=Retention(1, others_age_ms=-1000))
    maintenance = Maintenance(catalog, policy)
    async with two_lakes(settings) as (lake, other_lake):
        with unsettled():
            first = await lake.append(keyed(decoder, "k", {"label": "0"}))
        for number in range(1, 4):
            newest = await lake.append(batch(decoder, {"label": str(number)}))
        await asyncio.to_thread(maintenance.expire, ORDERS)
        assert snapshot_ids(catalog) == [first.snapshot_id, newest.snapshot_id]
        assert await other_lake.append(keyed(decoder, "k")) == replace(first, replayed=True)
        await asyncio.to_thread(maintenance.expire, ORDERS)
        assert snapshot_ids(catalog) == [newest.snapshot_id]


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
    allow_one_attempt(lake, monkeypatch)
    refused = await refusal(lake.append(keyed(decoder, "k", {"label": "a"})))
    monkeypatch.undo()
    assert refused.code is ErrorCode.OUTCOME_UNKNOWN
    again = await lake.append(keyed(decoder, "k", {"label": "a"}))
    assert (again.rows_ingested, again.replayed) == (1, True)
    assert labels(catalog) == ["a", "first"]


async def test_a_key_whose_commit_failed_can_be_retried_at_once(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lake.append(batch(decoder, {"label": "first"}))

    def fail(*_args: Any) -> TableState:
        raise CommitFailedException("another writer was faster")

    monkeypatch.setattr(snapshot_module, "commit_snapshot", fail)
    allow_one_attempt(lake, monkeypatch)
    refused = await refusal(lake.append(keyed(decoder, "k", {"label": "a"})))
    monkeypatch.undo()
    assert refused.code is ErrorCode.COMMIT_CONFLICT
    orders = TableIdentity.of(ORDERS, load(catalog).metadata)
    assert lake._ledger.look_up(orders, ["key/k"])["key/k"].lease_left_ms <= 0  # no wait for it
    assert not (await lake.append(keyed(decoder, "k", {"label": "a"}))).replayed
    assert labels(catalog) == ["a", "first"]


def snapshot_ids(catalog: Catalog) -> Sequence[str]:
    return [str(snapshot.snapshot_id) for snapshot in load(catalog).snapshots()]
