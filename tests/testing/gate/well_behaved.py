"""A sender with a moderate and steady rate."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
from tests.testing.gate.running_gate import NDJSON

REQUESTS_PER_SECOND = 50
TABLE = "orders"


@dataclass
class Outcome:
    """The statuses of the answers, and how long each took, in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


async def send_steadily(
    http_addr: str, token: str, database: str, requests: int, first: int = 0
) -> Outcome:
    """Send one row after the other, each when it is due; return when all are answered."""
    outcome = Outcome()
    headers = {
        "Authorization": f"Bearer {token}",
        "X-Database": database,
        "X-Table": TABLE,
        "Content-Type": NDJSON,
    }
    begun = time.perf_counter()

    async with httpx.AsyncClient(base_url=f"http://{http_addr}", timeout=120) as client:

        async def send(number: int) -> None:
            await asyncio.sleep(number / REQUESTS_PER_SECOND - (time.perf_counter() - begun))
            sent = time.perf_counter()
            row = f'{{"id":"{first + number}"}}'
            answer = await client.post("/v1/ingest", content=row, headers=headers)
            outcome.statuses[answer.status_code] += 1
            outcome.latencies.append(time.perf_counter() - sent)

        await asyncio.gather(*(send(number) for number in range(requests)))
    return outcome
