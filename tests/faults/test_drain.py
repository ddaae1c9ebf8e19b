"""SIGTERM while a commit waits for the catalog: its outcome is reported as unknown."""

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from tests.testing.gate.running_gate import NDJSON, RunningGate, running_gate

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

ROW = b'{"a":"in doubt"}'
SETTINGS = {"LAKEGATE_DRAIN_SECONDS": "0.5", "LAKEGATE_LEDGER_LEASE_SECONDS": "1"}
HEADERS = {"X-Table": "t", "Content-Type": NDJSON, "X-Idempotency-Key": "k"}


@contextmanager
def locked_catalog(home: Path) -> Iterator[None]:
    """Hold the lock that commits to the embedded catalog need."""
    connection = sqlite3.connect(home / "catalog.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


async def until_it_commits(gate: RunningGate) -> None:
    """Wait until the manifest list of the batch is written: its commit is next."""
    async with asyncio.timeout(30):
        while len([*gate.home.glob("warehouse/**/metadata/*.avro")]) < 4:  # noqa: ASYNC110 - files of another process
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("door", ["REST", "gRPC"])
async def test_a_commit_that_waits_when_the_server_stops_is_in_doubt_and_its_retry_is_applied_once(
    tmp_path: Path, door: str
) -> None:
    home = tmp_path / "home"
    with running_gate(home, SETTINGS) as gate:
        assert gate.ingest("t", b'{"a":"before"}').status_code == 200
        with locked_catalog(home):
            sent = asyncio.create_task(_send(gate, door))
            await until_it_commits(gate)
            gate.process.send_signal(signal.SIGTERM)
            assert await sent == ("outcome_unknown" if door == "REST" else "UNKNOWN")
        assert await asyncio.to_thread(gate.process.wait, 60) == 0
    with running_gate(home, SETTINGS) as gate:
        assert gate.ingest("t", ROW, HEADERS).status_code == 200
        assert sorted(row["a"] for row in gate.rows("t")) == ["before", "in doubt"]


async def _send(gate: RunningGate, door: str) -> str:
    """Send the row; return the code of the refusal."""
    if door == "REST":
        async with httpx.AsyncClient(base_url=gate.url, timeout=60) as client:
            answer = await client.post("/v1/ingest", content=ROW, headers=HEADERS)
        return str(answer.json()["error"]["code"])
    async with grpc.aio.insecure_channel(gate.http_addr) as channel:
        request = IngestRequest(table="t", ndjson=ROW, idempotency_key="k")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await IngestServiceStub(channel).Ingest(request)
    return raised.value.code().name
