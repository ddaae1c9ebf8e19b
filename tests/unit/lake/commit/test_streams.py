"""Batches of a stream are applied in their order, without a gap and once each."""

import asyncio
from dataclasses import replace

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.commits import unsettled
from tests.testing.keyed import keyed, placed
from tests.testing.lines import ORDERS, LinesDecoder, batch, raw_batch
from tests.testing.reading import labels

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.ledger.claiming import ClaimConflictError
from lakegate.lake.ledger.ledger import Ledger
from lakegate.model import Acknowledgement, StreamPosition
from lakegate.settings import Settings


async def send(lake: Lake, decoder: LinesDecoder, *offsets: int) -> list[Acknowledgement]:
    return await asyncio.gather(*(lake.append(placed(decoder, "s", n)) for n in offsets))


async def outcomes(lake: Lake, *batches: object) -> list[Acknowledgement | LakegateError]:
    answers = await asyncio.gather(
        *(lake.append(each) for each in batches),  # type: ignore[arg-type] # batches
        return_exceptions=True,
    )
    assert all(isinstance(answer, Acknowledgement | LakegateError) for answer in answers)
    return answers  # type: ignore[return-value] # as just seen


def expected_offset(outcome: Acknowledgement | LakegateError) -> str:
    assert isinstance(outcome, LakegateError)
    assert outcome.code is ErrorCode.OFFSET_OUT_OF_RANGE
    return outcome.metadata["expected_offset"]


async def test_batches_in_flight_are_applied_together_and_the_next_offset_follows_them(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    assert await lake.next_offset(ORDERS, "s") == 0
    answers = await send(lake, decoder, *range(20))
    assert not any(answer.replayed for answer in answers)
    assert len({answer.snapshot_id for answer in answers}) < 20
    assert await other_lake.next_offset(ORDERS, "s") == 20
    assert labels(catalog) == sorted(f"s-{n}" for n in range(20))


async def test_an_offset_that_was_applied_is_replayed(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    first = await send(lake, decoder, 0, 1, 2)
    again = await send(other_lake, decoder, 0, 1, 2, 3)
    assert again[:3] == [replace(answer, replayed=True) for answer in first]
    assert not again[3].replayed
    assert len(labels(catalog)) == 4


async def test_a_server_with_the_state_of_a_replaced_table_continues_the_stream_of_the_new_one(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await send(lake, decoder, 0)
    catalog.drop_table("default.orders")
    await send(other_lake, decoder, 0, 1, 2)
    (answer,) = await send(lake, decoder, 3)
    assert not answer.replayed
    assert labels(catalog) == ["s-0", "s-1", "s-2", "s-3"]


async def test_a_gap_is_refused_with_the_offset_that_is_expected(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await send(lake, decoder, 0, 1)
    [gap] = await outcomes(lake, placed(decoder, "s", 3))
    assert expected_offset(gap) == "2"
    assert await lake.next_offset(ORDERS, "s") == 2
    assert labels(catalog) == ["s-0", "s-1"]


async def test_after_an_invalid_batch_of_a_stream_nothing_is_applied(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    bad = replace(raw_batch(decoder, b"{"), position=StreamPosition("s", 1))
    batches = [placed(decoder, "s", 0), bad, placed(decoder, "s", 2), placed(decoder, "s", 3)]
    neighbours = [batch(decoder, {"label": "n"}), placed(decoder, "t", 0)]
    first, refused, second, third, *others = await outcomes(lake, *batches, *neighbours)
    assert isinstance(first, Acknowledgement)
    assert isinstance(refused, LakegateError)
    assert refused.code is ErrorCode.BAD_REQUEST_BODY
    assert [expected_offset(second), expected_offset(third)] == ["1", "1"]
    assert all(isinstance(other, Acknowledgement) for other in others)
    assert labels(catalog) == ["n", "s-0", "t-0"]
    await send(lake, decoder, 1, 2, 3)
    assert labels(catalog) == ["n", "s-0", "s-1", "s-2", "s-3", "t-0"]


async def test_batches_that_arrive_out_of_order_are_applied_in_the_order_of_their_offsets(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    answers = await send(lake, decoder, 2, 0, 3, 1)
    assert not any(answer.replayed for answer in answers)
    assert labels(catalog) == ["s-0", "s-1", "s-2", "s-3"]


async def test_successive_groups_of_one_stream_keep_their_order(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """Large enough that the next group is prepared while one commits."""
    rows = {"label": "x" * 300_000}
    answers = await asyncio.gather(*(lake.append(placed(decoder, "s", n, rows)) for n in range(40)))
    assert not any(answer.replayed for answer in answers)
    assert len(labels(catalog)) == 40


async def test_a_group_that_is_prepared_again_does_not_refuse_the_next_one(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, failures = Ledger.claim, [2]

    def contested(*args: object) -> None:
        if failures[0]:
            failures[0] -= 1
            raise ClaimConflictError
        claim(*args)  # type: ignore[arg-type] # as they came

    monkeypatch.setattr(Ledger, "claim", contested)
    rows = {"label": "x" * 300_000}
    await asyncio.gather(*(lake.append(placed(decoder, "s", n, rows)) for n in range(20)))
    assert len(labels(catalog)) == 20


async def test_after_a_crash_of_client_and_server_the_stream_continues_after_the_commit(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    with unsettled():
        await send(lake, decoder, 0, 1, 2)
    assert await other_lake.next_offset(ORDERS, "s") == 3
    answers = await send(other_lake, decoder, 1, 2, 3)
    assert [answer.replayed for answer in answers] == [True, True, False]
    assert len(labels(catalog)) == 4


async def test_a_stream_continues_at_another_server_before_its_last_commit_is_settled(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    with unsettled():
        await send(lake, decoder, 0, 1, 2)
    (answer,) = await send(other_lake, decoder, 3)
    assert not answer.replayed
    assert labels(catalog) == ["s-0", "s-1", "s-2", "s-3"]


async def test_a_client_that_resends_without_asking_for_the_offset_gets_replays(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    with unsettled():
        first = await send(lake, decoder, 0, 1, 2)
    again = await send(other_lake, decoder, 0, 1, 2, 3, 4)
    assert again[:3] == [replace(answer, replayed=True) for answer in first]
    assert len(labels(catalog)) == 5


async def test_a_client_that_reconnects_at_once_gets_the_answers_of_its_abandoned_batches(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    left = [asyncio.ensure_future(lake.append(placed(decoder, "s", n))) for n in range(5)]
    await asyncio.sleep(0)
    again = [asyncio.ensure_future(lake.append(placed(decoder, "s", n))) for n in range(10)]
    await asyncio.sleep(0)
    for each in left:
        each.cancel()
    answers = await asyncio.gather(*again)
    assert [answer.rows_ingested for answer in answers] == [1] * 10
    assert labels(catalog) == sorted(f"s-{n}" for n in range(10))


async def test_two_clients_of_one_stream_apply_each_offset_once(
    lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    """As when a client comes back on another server while its first connection still lives."""
    both = await asyncio.gather(
        *(
            outcomes(server, *(placed(decoder, "s", n) for n in range(10)))
            for server in (lake, other_lake)
        )
    )
    applied = await lake.next_offset(ORDERS, "s")
    await send(lake, decoder, *range(applied, 10))
    assert labels(catalog) == sorted(f"s-{n}" for n in range(10))
    for answers in both:
        for answer in answers:
            assert isinstance(answer, Acknowledgement) or expected_offset(answer)


async def test_an_offset_whose_entry_has_expired_is_replayed_without_its_counts(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    no_lease = settings.model_copy(update={"ledger_lease_seconds": 0})
    before = Lake(open_catalog(settings.catalog, settings.home), no_lease)
    *_, last = await send(before, decoder, *range(5))
    await before.close()  # all is settled
    lake = Lake(open_catalog(settings.catalog, settings.home), no_lease)
    assert lake._ledger.delete_expired(key_ttl_ms=-1000, stream_ttl_ms=60_000, limit=100) == 4
    early, late, following = await send(lake, decoder, 2, 4, 5)
    await lake.close()
    assert early == Acknowledgement(last.snapshot_id, 0, 0, 0, replayed=True)
    assert late == replace(last, replayed=True)
    assert not following.replayed
    assert labels(catalog) == [f"s-{n}" for n in range(6)]


async def test_streams_and_keys_of_the_same_name_are_distinct(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(placed(decoder, "s/1", 0))
    await lake.append(placed(decoder, "s", 0))
    await lake.append(keyed(decoder, "0/s", {"label": "key"}))
    assert labels(catalog) == ["key", "s-0", "s/1-0"]


async def test_a_stream_may_begin_with_a_batch_without_rows(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    empty = replace(raw_batch(decoder, b""), position=StreamPosition("s", 0))
    assert (await lake.append(empty)).rows_ingested == 0
    await send(lake, decoder, 1)
    assert (await lake.append(empty)).replayed
    assert labels(catalog) == ["s-1"]


async def test_a_stream_starts_again_with_a_table_that_is_created_again(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await send(lake, decoder, 0, 1)
    catalog.drop_table("default.orders")
    assert await lake.next_offset(ORDERS, "s") == 0
    (gap,) = await outcomes(lake, placed(decoder, "s", 2))
    assert expected_offset(gap) == "0"
    (first,) = await send(lake, decoder, 0)
    assert not first.replayed
    assert labels(catalog) == ["s-0"]
