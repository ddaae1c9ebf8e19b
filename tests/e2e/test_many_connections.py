"""Many callers at once: every row once, few snapshots, and nobody pays for a neighbour."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import httpx
from tests.testing.gate.running_gate import NDJSON, RunningGate

CONNECTIONS = 64
REQUESTS_EACH = 10


def client(gate: RunningGate, connections: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=connections)
    return httpx.AsyncClient(base_url=gate.url, limits=limits, timeout=60)


async def post(http: httpx.AsyncClient, table: str, body: str) -> httpx.Response:
    headers = {"X-Table": table, "Content-Type": NDJSON}
    return await http.post("/v1/ingest", content=body, headers=headers)


def test_every_row_is_there_once_in_far_fewer_snapshots_than_requests(gate: RunningGate) -> None:
    def connection(number: int) -> list[int]:
        """Send one request after the other over one connection."""
        http = HTTPConnection(gate.http_addr, timeout=60)
        statuses = []
        for i in range(REQUESTS_EACH):
            headers = {"X-Table": "busy", "Content-Type": NDJSON}
            http.request("POST", "/v1/ingest", f'{{"id":"{number}-{i}"}}', headers)
            with http.getresponse() as answer:
                answer.read()
                statuses.append(answer.status)
        http.close()
        return statuses

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        statuses = list(threads.map(connection, range(CONNECTIONS)))
    assert {status for each in statuses for status in each} == {200}
    ids = Counter(row["id"] for row in gate.rows("busy"))
    expected = {f"{n}-{i}" for n in range(CONNECTIONS) for i in range(REQUESTS_EACH)}
    assert set(ids) == expected
    assert set(ids.values()) == {1}
    assert gate.snapshots("busy") < CONNECTIONS * REQUESTS_EACH / 4


async def test_a_malformed_member_of_a_group_is_refused_and_the_others_are_committed(
    gate: RunningGate,
) -> None:
    bad = {3: '{"id":}', 20: "[1]", 40: '{"id":1}\n\n{"id":2', 50: "\xff", 60: '{"id":NaN}'}
    bodies = [bad.get(i, f'{{"id":{i}}}') for i in range(CONNECTIONS)]
    async with client(gate, CONNECTIONS) as http:
        answers = await asyncio.gather(*(post(http, "mixed", body) for body in bodies))
    refused = {i: answer for i, answer in enumerate(answers) if answer.status_code != 200}
    assert {i: answer.status_code for i, answer in refused.items()} == dict.fromkeys(bad, 400)
    assert "line 3" in refused[40].json()["error"]["message"]
    good = set(range(CONNECTIONS)) - set(bad)
    assert sorted(int(row["id"]) for row in gate.rows("mixed")) == sorted(good)


async def test_tables_that_are_made_at_once_are_all_made(gate: RunningGate) -> None:
    tables = [f"at_once_{i}" for i in range(8)]
    async with client(gate, CONNECTIONS) as http:
        answers = await asyncio.gather(
            *(post(http, table, '{"a":1}') for table in tables for _ in range(4))
        )
    assert {answer.status_code for answer in answers} == {200}
    assert [len(gate.rows(table)) for table in tables] == [4] * len(tables)
