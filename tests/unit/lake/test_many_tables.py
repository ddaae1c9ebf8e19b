"""Tables that are asked for once do not stay in memory."""

import gc
import tracemalloc

from lakegate.batches import TableName
from lakegate.lake.lake import IDLE_TABLES, Lake

NAMES = 100_000


def ask(lake: Lake, names: range) -> None:
    for number in names:
        lake._committer(TableName("default", f"t{number}"))


async def test_a_hundred_thousand_names_cost_no_more_than_the_first_thousand(lake: Lake) -> None:
    ask(lake, range(IDLE_TABLES))
    tracemalloc.start()
    try:
        ask(lake, range(IDLE_TABLES, NAMES))
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(lake._committers) <= IDLE_TABLES
    assert kept < 16 * 1024 * 1024
