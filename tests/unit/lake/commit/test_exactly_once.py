"""A batch with a key is applied once, however often it is sent, and to whichever server."""

import asyncio
from dataclasses import replace

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.commits import refusal, two_lakes
from tests.testing.keyed import keyed
from tests.testing.lines import ORDERS, LinesDecoder, batch, raw_batch
from tests.testing.reading import labels

from lakegate.errors import ErrorCode
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.lake.ledger import expiry
from lakegate.model import Batch, TableName
from lakegate.settings import Settings


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


async def test_the_key_of_an_invalid_body_can_be_used_again(
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


async def test_a_key_is_unknown_after_its_time_to_live(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "INTERVAL_SECONDS", 0.001)
    brief = settings.model_copy(update={"ledger_ttl_hours": 1e-9, "ledger_lease_seconds": 0})
    async with two_lakes(brief) as (lake, _):
        await lake.append(keyed(decoder, "k", {"label": "a"}))
        while (await lake.append(keyed(decoder, "k", {"label": "b"}))).replayed:
            pass
        assert labels(catalog) == ["a", "b"]


async def test_a_key_is_unknown_to_a_table_that_is_created_again(
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


async def test_a_keyed_batch_without_rows_creates_no_table(
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
