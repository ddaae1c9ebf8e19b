"""Tables that are used once do not stay in memory, and rows create a limited number."""

import gc
import tracemalloc

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.lines import LinesDecoder, batch
from tests.testing.reading import labels

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import IDLE_TABLES, Lake
from lakegate.lake.table import creation_limit
from lakegate.model import Batch, TableName
from lakegate.settings import Settings

NAMES = 10_000


def memory_after(lake: Lake, names: range) -> int:
    """Request tables, and return what is still in memory since `tracemalloc` was started."""
    for number in names:
        lake._committer(TableName("default", f"t{number}"))
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def test_ten_thousand_names_cost_no_more_than_the_first_hundreds(lake: Lake) -> None:
    tracemalloc.start()
    try:
        before = memory_after(lake, range(2 * IDLE_TABLES))
        after = memory_after(lake, range(2 * IDLE_TABLES, NAMES))
    finally:
        tracemalloc.stop()
    assert len(lake._committers) <= IDLE_TABLES
    assert after - before < 10 * NAMES


async def test_rows_create_no_more_tables_than_the_limit_of_a_database(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(table: str) -> Batch:
        return batch(decoder, {"label": table}, table=TableName("default", table))

    lake = Lake(
        open_catalog(settings.catalog, settings.home),
        settings.model_copy(update={"max_tables": 2}),
    )
    try:
        await lake.append(rows("one"))
        await lake.append(rows("two"))
        for _ in range(2):  # counted, then remembered
            with pytest.raises(LakegateError, match="LAKEGATE_MAX_TABLES") as refused:
                await lake.append(rows("three"))
            assert refused.value.code is ErrorCode.TABLE_NOT_FOUND
        assert catalog.list_tables("default") == [("default", "one"), ("default", "two")]
        await lake.append(rows("two"))  # existing tables accept rows
        await lake.append(batch(decoder, {"label": "a"}, table=TableName("another", "one")))
        await lake.ensure_table(TableName("default", "three"), decoder.default_schema)
        await lake.append(rows("three"))
        assert labels(catalog, TableName("default", "three")) == ["three"]

        monkeypatch.setattr(creation_limit, "REMEMBERED_SECONDS", 0.0)
        catalog.drop_table("default.one")
        catalog.drop_table("default.two")
        await lake.append(rows("four"))
    finally:
        await lake.close()
