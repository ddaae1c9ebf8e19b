"""Other writers commit to the same table at any time, and nothing is lost or doubled."""

import asyncio

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from tests.testing.commits import AroundCommit, Commit, refusal
from tests.testing.lines import COLUMNS, LinesDecoder, batch
from tests.testing.passing_clock import HOUR, passing_clock
from tests.testing.reading import duckdb_rows, labels, load

from lakegate.errors import ErrorCode
from lakegate.lake.lake import Lake
from lakegate.settings import Settings

pytestmark = pytest.mark.usefixtures("short_backoffs")


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
    lake: Lake, other_lake: Lake, catalog: Catalog
) -> None:
    async def send(lake: Lake, prefix: str) -> None:
        for number in range(25):
            await lake.append(batch(LinesDecoder(), {"label": f"{prefix}{number:02d}"}))

    await asyncio.gather(send(lake, "a"), send(other_lake, "b"))
    assert labels(catalog) == [f"{p}{n:02d}" for p in "ab" for n in range(25)]


async def test_data_files_are_kept_over_the_attempts_of_a_commit(
    warm_lake: Lake, settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    load(catalog).append(pa.table({"label": ["theirs"]}))
    await warm_lake.append(batch(decoder, {"label": "b"}))
    assert len(list(settings.warehouse.rglob("*.parquet"))) == 3


async def test_after_the_last_attempt_the_message_says_conflict(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder, around_commit: AroundCommit
) -> None:
    attempts = []

    def always_late(_: Commit) -> None:
        attempts.append(1)
        raise CommitFailedException("another writer committed first")

    around_commit(always_late)
    refused = await refusal(warm_lake.append(batch(decoder, {"label": "b"})))
    assert "Conflict" in refused.message
    assert refused.code is ErrorCode.COMMIT_CONFLICT
    assert len(attempts) == 20
    assert labels(catalog) == ["a"]


async def test_times_in_the_metadata_never_go_back(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    with passing_clock() as time:
        time.pass_(-HOUR)
        await warm_lake.append(batch(decoder, {"label": "b", "new": "x"}))
        await warm_lake.append(batch(decoder, {"label": "c"}))
    metadata = load(catalog).metadata
    times = [entry.timestamp_ms for entry in metadata.snapshot_log]
    assert times == sorted(times)
    assert metadata.last_updated_ms >= times[-1]


async def test_a_table_that_is_dropped_and_created_again_is_written_as_the_new_one(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "old", "extra": "x"}))
    catalog.drop_table("default.orders")
    catalog.create_table(
        "default.orders", pa.schema([("other", pa.string()), ("label", pa.string())])
    )
    await lake.append(batch(decoder, {"label": "new", "extra": "y"}))
    assert duckdb_rows(catalog, "other, label, extra") == [(None, "new", "y")]


async def test_a_dropped_table_is_created_again_only_with_auto_create(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "old"}))
    catalog.drop_table("default.orders")
    refused = await refusal(lake.append(batch(decoder, {"label": "no"}, auto_create=False)))
    assert refused.code is ErrorCode.TABLE_NOT_FOUND
    await lake.append(batch(decoder, {"label": "new"}))
    assert labels(catalog) == ["new"]


async def test_two_servers_that_widen_at_once_end_with_the_union(
    warm_lake: Lake, other_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await other_lake.append(batch(LinesDecoder(), {"label": "b"}))
    await asyncio.gather(
        warm_lake.append(batch(decoder, {"label": "c", "x": "1", "shared": "2"})),
        other_lake.append(batch(LinesDecoder(), {"label": "d", "y": "3", "shared": "4"})),
    )
    assert duckdb_rows(catalog, "label, x, y, shared") == [
        ("a", None, None, None),
        ("b", None, None, None),
        ("c", "1", None, "2"),
        ("d", None, "3", "4"),
    ]


async def test_a_column_that_another_writer_added_with_another_type_is_decoded_as_that_type(
    lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    await lake.append(batch(decoder, {"label": "a"}))  # the state is warm: without `n`
    with load(catalog).update_schema() as update:
        update.union_by_name(pa.schema([*COLUMNS, ("n", pa.int64())]))
    # The decoder makes an unknown field a string; after the conflict, it finds a number.
    await lake.append(batch(decoder, {"label": "b", "n": 7}))
    assert duckdb_rows(catalog, "label, n") == [("a", None), ("b", 7)]


async def test_rows_that_were_prepared_for_a_column_renamed_since_get_a_column_of_their_own(
    warm_lake: Lake, catalog: Catalog, decoder: LinesDecoder
) -> None:
    with load(catalog).update_schema() as update:
        update.rename_column("label", "name")
    await warm_lake.append(batch(decoder, {"label": "b"}))  # prepared for the old name
    assert duckdb_rows(catalog, "name, label") == [("a", None), (None, "b")]
