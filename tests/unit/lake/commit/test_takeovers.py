"""A batch that another server has claimed: its lease is waited for, then the claim is displaced."""

import asyncio
from dataclasses import replace

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.commits import pause_before_commit, two_lakes
from tests.testing.keyed import keyed
from tests.testing.lines import ORDERS, LinesDecoder, batch
from tests.testing.reading import labels

from lakegate.lake.lake import Lake
from lakegate.settings import Settings


async def test_a_batch_that_another_server_has_claimed_waits_for_its_commit(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """The other server claims, and is slow with its commit."""
    await lake.append(batch(decoder, {"label": "first"}))
    resume = asyncio.Event()
    claimed = asyncio.Event()
    pause_before_commit(other_lake, claimed, resume)
    slow = asyncio.ensure_future(other_lake.append(keyed(decoder, "k", {"label": "a"})))
    await claimed.wait()
    waits = asyncio.ensure_future(lake.append(keyed(decoder, "k", {"label": "a"})))
    while not lake._committer(ORDERS).exactly_once.lease_waits:  # noqa: ASYNC110 - nothing to wait for
        await asyncio.sleep(0)
    assert not (await lake.append(batch(decoder, {"label": "others go on"}))).replayed
    resume.set()
    assert await waits == replace(await slow, replayed=True)
    assert labels(catalog) == ["a", "first", "others go on"]


async def test_the_deadline_of_a_request_that_waits_for_another_server_holds(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "first"}))
    resume, claimed = asyncio.Event(), asyncio.Event()
    pause_before_commit(other_lake, claimed, resume)
    slow = asyncio.ensure_future(other_lake.append(keyed(decoder, "k", {"label": "a"})))
    await claimed.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lake.append(keyed(decoder, "k", {"label": "a"})), 0.05)
    resume.set()
    await slow
    assert labels(catalog) == ["a", "first"]


async def test_a_slow_server_whose_claim_was_taken_over_does_not_commit(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """Its lease ends before its commit; both requests get the same answer."""
    no_lease = settings.model_copy(update={"ledger_lease_seconds": 0})
    async with two_lakes(no_lease) as (lake, slow_lake):
        await lake.append(batch(decoder, {"label": "first"}))
        resume, claimed = asyncio.Event(), asyncio.Event()
        pause_before_commit(slow_lake, claimed, resume)
        slow = asyncio.ensure_future(slow_lake.append(keyed(decoder, "k", {"label": "a"})))
        neighbour = asyncio.ensure_future(slow_lake.append(keyed(decoder, "n", {"label": "b"})))
        await claimed.wait()
        taken_over = await lake.append(keyed(decoder, "k", {"label": "a"}))
        assert not taken_over.replayed
        resume.set()
        assert await slow == replace(taken_over, replayed=True)
        assert not (await neighbour).replayed
        assert labels(catalog) == ["a", "b", "first"]


async def test_a_slow_server_that_commits_just_before_it_is_taken_over_is_found(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """The taker finds no commit and claims; then the slow commit is made before its own."""
    no_lease = settings.model_copy(update={"ledger_lease_seconds": 0})
    async with two_lakes(no_lease) as (lake, slow_lake):
        await lake.append(batch(decoder, {"label": "first"}))
        slow_resume, slow_claimed = asyncio.Event(), asyncio.Event()
        pause_before_commit(slow_lake, slow_claimed, slow_resume)
        slow = asyncio.ensure_future(slow_lake.append(keyed(decoder, "k", {"label": "a"})))
        await slow_claimed.wait()
        resume, claimed = asyncio.Event(), asyncio.Event()
        pause_before_commit(lake, claimed, resume)
        taker = asyncio.ensure_future(lake.append(keyed(decoder, "k", {"label": "a"})))
        await claimed.wait()
        slow_resume.set()
        first = await slow
        resume.set()
        assert not first.replayed
        assert await taker == replace(first, replayed=True)
        assert labels(catalog) == ["a", "first"]
