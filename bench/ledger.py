"""What exactly once costs: a key on every request beside none, in one run.

The two take turns on one server, each on a table of its own, so that what else
the machine does troubles both alike. `lake` is batches appended in process,
`gate` the same through Envoy. LAKEGATE_LEDGER_URL chooses the ledger.

    python -m bench.ledger [SECONDS]
"""

import asyncio
import itertools
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from bench.gate import serving
from bench.load import LINE, Load, run

from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.model import Batch, Body, TableName
from lakegate.settings import Settings

LOADS = (Load(16, 1), Load(64, 1), Load(256, 1), Load(32, 5000))
TURNS = 4
DEFAULT_SECONDS = 8.0

# The tables of the two, named for what they are sent.
PLAIN, KEYED = "plain", "keyed"

# Gives the requests a second of one turn: into a table, so many seconds.
Turn = Callable[[str, float], Awaitable[float]]


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS
    print(f"{'load':34} {'plain req/s':>12} {'keyed req/s':>12} {'ratio':>6}")
    for load in LOADS:
        report(f"lake {load}", uvloop.run(in_process(load, seconds)))
        with serving("gate") as served:
            report(f"gate {load}", uvloop.run(through_envoy(served.address, load, seconds)))


def report(name: str, rates: tuple[float, float]) -> None:
    plain, keyed = rates
    print(f"{name:34} {plain:12.0f} {keyed:12.0f} {keyed / plain:6.2f}", flush=True)


async def in_process(load: Load, seconds: float) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lake = Lake(open_catalog("lakegate", home), Settings(home=home))
        decoder = NdjsonDecoder()
        body = Body(LINE * load.rows)

        async def turn(table: str, length: float) -> float:
            name = TableName("default", table)
            begun = time.perf_counter()

            async def sender() -> int:
                for sent in itertools.count():
                    if time.perf_counter() >= begun + length:
                        return sent
                    key = str(uuid.uuid4()) if table == KEYED else None
                    await lake.append(Batch(name, body, decoder, idempotency_key=key))
                return 0

            sent = sum(await asyncio.gather(*(sender() for _ in range(load.connections))))
            return sent / (time.perf_counter() - begun)

        rates = await in_turns(turn, seconds)
        await lake.close()
        return rates


async def through_envoy(address: str, load: Load, seconds: float) -> tuple[float, float]:
    async def turn(table: str, length: float) -> float:
        seen = await run(address, load, length, table, keyed=table == KEYED)
        return seen.requests_per_second

    return await in_turns(turn, seconds)


async def in_turns(turn: Turn, seconds: float) -> tuple[float, float]:
    """Return the mean rates without keys and with them, after a turn of each to warm up."""
    length = seconds / TURNS / 2
    rates: dict[str, list[float]] = {PLAIN: [], KEYED: []}
    for table in rates:
        await turn(table, min(length, 0.5))
    for _ in range(TURNS):
        for table, seen in rates.items():
            seen.append(await turn(table, length))
    return sum(rates[PLAIN]) / TURNS, sum(rates[KEYED]) / TURNS


if __name__ == "__main__":
    main()
