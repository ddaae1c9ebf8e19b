"""An upload that breaks off writes nothing, and the retry with the same key lands whole.

LAKEGATE_TEST_CUTS=200 .venv/bin/pytest tests/e2e/test_cut_uploads.py
"""

import asyncio
import os
import random
from collections import Counter
from dataclasses import replace

import httpx
import pytest
from tests.testing.gate.cut_senders import PATH, WAYS, Upload
from tests.testing.gate.running_gate import RunningGate

CUTS = int(os.environ.get("LAKEGATE_TEST_CUTS", "24"))
AT_ONCE = 4
MAX_ROWS = 64
MAX_PAUSE_SECONDS = 0.005


@pytest.mark.parametrize("way", WAYS)
async def test_a_cut_upload_writes_nothing_and_its_retry_lands_whole(
    gate: RunningGate, way: str
) -> None:
    encode, headers, send = WAYS[way]
    table = f"cut_{list(WAYS).index(way)}"
    chance = random.Random(way)  # noqa: S311 - no secret
    turns = asyncio.Semaphore(AT_ONCE)
    expected: Counter[str] = Counter()

    async def trial(number: int, rest: httpx.AsyncClient) -> None:
        rows = [f"{number}-{i}" for i in range(chance.randint(1, MAX_ROWS))]
        expected.update(rows)
        pieces = encode(rows)
        upload = Upload(
            pieces,
            cut=chance.randint(0, len(pieces) - 1),
            headers={"X-Table": table, **headers},
            pause=chance.choice((0, chance.uniform(0, MAX_PAUSE_SECONDS))),
        )
        keyed = replace(upload, headers={**upload.headers, "X-Idempotency-Key": f"{way}-{number}"})
        async with turns:
            await send(gate, upload)
            await send(gate, keyed)
            answer = await rest.post(PATH, content=upload.whole, headers=dict(keyed.headers))
        assert answer.status_code == 200, answer.text
        assert answer.json()["rows_ingested"] == len(rows)

    async with httpx.AsyncClient(base_url=gate.url, timeout=60) as rest:
        await asyncio.gather(*(trial(number, rest) for number in range(CUTS)))
    assert Counter(row["row"] for row in gate.rows(table)) == expected
