"""The commit: what it costs, what it grows with, and PyIceberg's own append in the same run.

    python -m bench.commit [COMMITS_BEHIND ...]

`depth`: latency of a 1,000-row commit with so many commits behind it, and its
ratio to the first. `append`: beside it `table.append` of PyIceberg on tables
of 500 snapshots. `tables`: commits a second over so many tables at once.
`split`: where a commit's time goes.
"""

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import uvloop
from pyiceberg.catalog.sql import SqlCatalog

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.commit import committer, preparation, snapshot
from lakegate.lake.lake import Lake
from lakegate.model import Batch, Body, DecodedGroup, MemoryEstimate, TableName
from lakegate.settings import Settings

DEPTHS = (10, 1000)
ROWS = 1000
SAMPLES = 100
APPEND_SNAPSHOTS = 500
APPEND_SAMPLES = 5
TABLES = (1, 10, 100)
TABLE_SECONDS = 3.0
STEPS: dict[str, tuple[Any, str]] = {
    "data files": (preparation, "write_data_files"),
    "manifest": (committer, "new_append"),
    "manifest list": (snapshot, "new_snapshot"),
    "catalog": (LeanSqlCatalog, "commit_table"),
}


class ArrowDecoder:
    """Takes rows as they are: what is measured here is the commit."""

    default_schema = pa.schema(
        [("at", pa.timestamp("us", tz="UTC")), *((name, pa.string()) for name in "abcdef")]
    )

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Read Arrow IPC streams."""
        del schema
        tables = [pa.ipc.open_stream(body.data).read_all() for body in bodies]
        return DecodedGroup(pa.concat_tables(tables), [len(table) for table in tables])

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Take no more than there is."""
        del columns
        return MemoryEstimate(sum(len(body.data) for body in bodies), 0)


DECODER = ArrowDecoder()
TABLE = TableName("default", "t0")


def main() -> None:
    depths = tuple(map(int, sys.argv[1:])) or DEPTHS
    uvloop.run(depth(depths))
    uvloop.run(append())
    uvloop.run(tables())
    uvloop.run(split())


async def depth(depths: Sequence[int]) -> None:
    """Take turns between tables of each depth, so that all meet the same noise.

    Without the snapshots of the last minute: what they cost depends on how fast one is.
    """
    async with open_lake(snapshots_kept_seconds=0) as lake:
        for number, behind in enumerate(depths):
            await commit(lake, rows(1), behind, number)
        times: dict[int, list[float]] = defaultdict(list)
        for _ in range(SAMPLES):
            for number in range(len(depths)):
                times[number] += await commit(lake, rows(ROWS), 1, number)
    print(f"{'commits behind':>16} {'p50 ms':>8} {'p90 ms':>8} {'of the first':>13}")
    first = statistics.median(times[0])
    for number, behind in enumerate(depths):
        median = statistics.median(times[number])
        p90 = statistics.quantiles(times[number], n=10)[-1]
        print(f"{behind:16} {median:8.1f} {p90:8.1f} {median / first:13.2f}", flush=True)


async def append() -> None:
    """Compare at 500 snapshots in the metadata, which Lakegate by itself would not keep."""
    async with open_lake(snapshots_kept_seconds=0) as lake:
        await commit(lake, rows(1), APPEND_SNAPSHOTS)
        ours = statistics.median(await commit(lake, rows(ROWS), SAMPLES))
    async with open_lake(snapshots_kept=10 * APPEND_SNAPSHOTS) as lake:
        await commit(lake, rows(1), APPEND_SNAPSHOTS)
        kept = statistics.median(await commit(lake, rows(ROWS), SAMPLES))
        theirs = append_with_pyiceberg((await lake.describe(TABLE)).location)
    print(f"\n{'after 500 commits':>24} {'p50 ms':>8} {'times faster':>13}")
    print(f"{'PyIceberg append':>24} {theirs:8.1f}")
    print(f"{'Lakegate':>24} {ours:8.1f} {theirs / ours:13.1f}")
    print(f"{'… all snapshots kept':>24} {kept:8.1f} {theirs / kept:13.1f}", flush=True)


def append_with_pyiceberg(location: str) -> float:
    """Get the median time of `table.append`, in milliseconds, with the metadata at `location`."""
    folder = Path(location.removeprefix("file://"), "metadata")
    newest = max(folder.glob("*.metadata.json"))
    with tempfile.TemporaryDirectory() as home:
        uri = f"sqlite:///{home}/catalog.db"
        with SqlCatalog("theirs", uri=uri, warehouse=Path(home).as_uri()) as catalog:
            catalog.create_namespace("default")
            table = catalog.register_table("default.t0", newest.as_uri())
            times = [timed(lambda: table.append(rows(ROWS))) for _ in range(APPEND_SAMPLES)]
    return statistics.median(times)


async def tables() -> None:
    print(f"\n{'tables':>16} {'commits/s':>10}")
    for count in TABLES:
        async with open_lake(maintenance_interval_seconds=0.0) as lake:
            end = time.perf_counter() + TABLE_SECONDS

            async def send(number: int, lake: Lake = lake, end: float = end) -> int:
                sent = 0
                while time.perf_counter() < end:
                    sent += len(await commit(lake, rows(1), 1, number))
                return sent

            commits = sum(await asyncio.gather(*map(send, range(count))))
            print(f"{count:16} {commits / TABLE_SECONDS:10.0f}", flush=True)


async def split() -> None:
    spent: dict[str, list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        for step, (owner, name) in STEPS.items():
            stack.enter_context(timing(owner, name, spent[step]))
        async with open_lake() as lake:
            times = await commit(lake, rows(ROWS), SAMPLES)
    print(f"\n{'step':>16} {'p50 ms':>8} {'share':>6}")
    whole = statistics.median(times)
    for step, each in spent.items():
        print(f"{step:>16} {statistics.median(each):8.2f} {statistics.median(each) / whole:6.0%}")
    print(f"{'whole':>16} {whole:8.2f}")


async def commit(lake: Lake, table: pa.Table, times: int, number: int = 0) -> list[float]:
    """Append the rows so often, one after the other; give each one's milliseconds."""
    body = Body(encoded(table))
    took = []
    for _ in range(times):
        began = time.perf_counter()
        await lake.append(Batch(TableName("default", f"t{number}"), body, DECODER))
        took.append((time.perf_counter() - began) * 1000)
    return took


@asynccontextmanager
async def open_lake(**changes: float) -> AsyncIterator[Lake]:
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home)).model_copy(update=changes)
        lake = Lake(open_catalog(settings.catalog, settings.home), settings)
        try:
            yield lake
        finally:
            await lake.close()


def rows(count: int) -> pa.Table:
    texts = {name: [f"{name} {number}" for number in range(count)] for name in "abcdef"}
    at = pa.array(range(count), pa.timestamp("us", tz="UTC"))
    return pa.table({"at": at, **texts}, schema=ArrowDecoder.default_schema)


def encoded(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return] # untyped


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return (time.perf_counter() - began) * 1000


@contextmanager
def timing(owner: object, name: str, spent: list[float]) -> Iterator[None]:
    original = getattr(owner, name)

    def measured(*args: object, **kwargs: object) -> object:
        began = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            spent.append((time.perf_counter() - began) * 1000)

    with mock.patch.object(owner, name, measured):
        yield


if __name__ == "__main__":
    main()
