"""Batches that arrive together share a commit, and each gets its own answer."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from tests.testing.commits import refusal
from tests.testing.lines import ORDERS, LinesDecoder, batch, raw_batch
from tests.testing.reading import duckdb_rows, labels, load
from tests.testing.waiting import until

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake import lake as lake_module
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.model import Acknowledgement, Body, DecodedGroup, TableName
from lakegate.settings import Settings


async def test_rows_are_in_the_snapshot_that_is_acknowledged(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    first = await lake.append(batch(decoder, {"label": "a"}, {"label": "b"}))
    await lake.append(batch(decoder, {"label": "c"}))
    assert labels(catalog, snapshot_id=first.snapshot_id) == ["a", "b"]
    assert labels(catalog) == duckdb_rows(catalog) == ["a", "b", "c"]
    assert (first.rows_ingested, first.extent_count, first.replayed) == (2, 1, False)


async def test_bytes_written_is_the_size_of_the_files_on_the_disk(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    done = await lake.append(batch(decoder, {"label": "a"}))
    (path,) = load(catalog).inspect.files()["file_path"].to_pylist()
    size = Path(path.removeprefix("file://")).stat().st_size  # noqa: ASYNC240 - a test may block
    assert done.bytes_written == size


async def test_batches_that_arrive_together_share_a_snapshot(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    batches = [batch(decoder, {"label": f"{n:03d}"}) for n in range(100)]
    answers = await asyncio.gather(*map(lake.append, batches))
    assert labels(catalog) == [f"{n:03d}" for n in range(100)]
    assert len({answer.snapshot_id for answer in answers}) < 5
    assert all(answer.rows_ingested == 1 for answer in answers)
    assert sum(decoder.calls) == 100


async def test_an_invalid_body_is_refused_and_the_others_of_its_group_are_committed(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    batches = [
        batch(decoder, {"label": "a"}),
        raw_batch(decoder, b"{"),
        batch(decoder, {"label": "b"}),
    ]
    good, bad, also_good = await asyncio.gather(*map(lake.append, batches), return_exceptions=True)
    assert isinstance(bad, LakegateError)
    assert bad.code is ErrorCode.BAD_REQUEST_BODY
    assert isinstance(good, Acknowledgement)
    assert isinstance(also_good, Acknowledgement)
    assert labels(catalog) == ["a", "b"]


async def test_a_body_that_breaks_the_decoder_is_refused_alone(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    batches = [batch(decoder, {"label": "a"}), raw_batch(decoder, b"explode")]
    good, bad = await asyncio.gather(*map(lake.append, batches), return_exceptions=True)
    assert isinstance(good, Acknowledgement)
    assert isinstance(bad, LakegateError)
    assert bad.code is ErrorCode.INGEST_FAILED
    assert labels(catalog) == ["a"]


async def test_a_missing_table_is_created_only_with_auto_create(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    batches = [
        batch(decoder, {"label": "no"}, auto_create=False),
        batch(decoder, {"label": "yes"}, auto_create=True),
    ]
    refused, accepted = await asyncio.gather(*map(lake.append, batches), return_exceptions=True)
    assert isinstance(refused, LakegateError)
    assert refused.code is ErrorCode.TABLE_NOT_FOUND
    assert isinstance(accepted, Acknowledgement)
    assert labels(catalog) == ["yes"]


async def test_a_refused_body_creates_no_table(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await refusal(lake.append(raw_batch(decoder, b"{")))
    with pytest.raises(NoSuchTableError):
        load(catalog)


async def test_a_batch_without_rows_is_answered_without_a_commit(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    assert (await lake.append(batch(decoder))).snapshot_id == ""
    done = await lake.append(batch(decoder, {"label": "a"}))
    empty = await lake.append(batch(decoder))
    assert empty == Acknowledgement(done.snapshot_id, 0, 0, 0)
    assert len(load(catalog).snapshots()) == 1


async def test_batches_with_different_decoders_share_a_commit(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    other = LinesDecoder()
    batches = [
        batch(decoder, {"label": "a", "n": "1"}),
        batch(other, {"label": "b", "n": "2", "m": "3"}),
    ]
    answers = await asyncio.gather(*map(lake.append, batches))
    assert len({answer.snapshot_id for answer in answers}) == 1
    assert duckdb_rows(catalog, "label, n, m") == [("a", "1", None), ("b", "2", "3")]


async def test_a_batch_whose_sender_left_before_its_group_began_is_not_written(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    gone = asyncio.ensure_future(lake.append(batch(decoder, {"label": "gone"})))
    stays = asyncio.ensure_future(lake.append(batch(decoder, {"label": "stays"})))
    await asyncio.sleep(0)  # both are queued
    gone.cancel()
    await stays
    assert labels(catalog) == ["stays"]


async def test_a_sender_that_leaves_during_the_commit_does_not_affect_others(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    gone = asyncio.ensure_future(lake.append(batch(decoder, {"label": "gone"})))
    stays = asyncio.ensure_future(lake.append(batch(decoder, {"label": "stays"})))
    await until(lambda: len(decoder.calls) > 0)
    gone.cancel()
    await stays
    assert labels(catalog) == ["gone", "stays"]


async def test_closing_answers_what_was_accepted_and_refuses_what_comes_after(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    accepted = [
        asyncio.ensure_future(lake.append(batch(decoder, {"label": str(n)}))) for n in range(5)
    ]
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(lake.close())
    await asyncio.sleep(0)
    late = await refusal(lake.append(batch(decoder, {"label": "late"})))
    await closing
    await asyncio.gather(*accepted)
    assert late.code is ErrorCode.UNAVAILABLE
    assert labels(catalog) == ["0", "1", "2", "3", "4"]


async def test_a_group_is_limited_in_bytes(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    small = settings.model_copy(update={"group_max_bytes": 100})
    lake = Lake(open_catalog(settings.catalog, settings.home), small)
    batches = [batch(decoder, {"label": "x" * 80}) for _ in range(4)]
    await asyncio.gather(*map(lake.append, batches))
    await lake.close()
    assert len(load(catalog).snapshots()) == 4


async def test_a_busy_table_collects_batches_for_the_commit_interval(
    settings: Settings, decoder: LinesDecoder
) -> None:
    slow = settings.model_copy(update={"commit_interval_ms": 2000})
    lake = Lake(open_catalog(settings.catalog, settings.home), slow)
    answers = [asyncio.ensure_future(lake.append(batch(decoder, {}))) for _ in range(2)]
    for number in range(20):
        await asyncio.sleep(0)
        answers.append(asyncio.ensure_future(lake.append(batch(decoder, {"label": str(number)}))))
    snapshots = {(await answer).snapshot_id for answer in answers}
    await lake.close()
    assert len(snapshots) == 2


async def test_idle_tables_are_removed_from_memory(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_module, "IDLE_TABLES", 2)
    for number in range(5):
        await lake.append(batch(decoder, {"label": "a"}, table=TableName("default", f"t{number}")))
    assert len(lake._committers) <= 3
    await lake.append(batch(decoder, {"label": "b"}, table=TableName("default", "t0")))
    assert labels(catalog, TableName("default", "t0")) == ["a", "b"]


async def test_more_busy_tables_than_are_kept_warm_are_all_served(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_module, "IDLE_TABLES", 2)
    names = [TableName("default", f"t{number}") for number in range(6)]
    await asyncio.gather(*(lake.append(batch(decoder, {"label": "a"}, table=n)) for n in names))
    assert [labels(catalog, name) for name in names] == [["a"]] * 6


async def test_a_large_group_is_decoded_while_another_commits(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    async with lake._committer(ORDERS).table.lock:  # no commit can end
        second = asyncio.ensure_future(lake.append(batch(decoder, {"label": "b"})))
        await until(lambda: len(decoder.calls) == 2)
        large = asyncio.ensure_future(lake.append(batch(decoder, {"label": "c" * 2_000_000})))
        await until(lambda: len(decoder.calls) == 3)
    await asyncio.gather(second, large)
    assert len(labels(catalog)) == 3


async def test_columns_that_rows_do_not_have_are_null(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))
    await lake.append(batch(decoder, {"label": "b", "late": "x"}))
    assert duckdb_rows(catalog, "label, late") == [("a", None), ("b", "x")]


async def test_rows_without_any_column_count_too(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    class NoColumns(LinesDecoder):
        def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
            decoded = super().decode(bodies, schema)
            return DecodedGroup(decoded.rows.select([]), decoded.outcomes)

    await lake.append(batch(decoder, {"label": "a"}))
    await lake.append(batch(NoColumns(), {}, {}))
    assert duckdb_rows(catalog, 'label, "at"') == [("a", None), (None, None), (None, None)]
