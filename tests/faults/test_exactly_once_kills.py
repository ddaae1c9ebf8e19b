"""Servers are killed or drained at any moment; each acknowledged batch is in the table once."""

import asyncio
import itertools
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc.aio
import pytest
from pyiceberg.catalog import Catalog
from tests.testing.keyed import keyed
from tests.testing.lines import LinesDecoder
from tests.testing.postgres import running_postgres
from tests.testing.reading import duckdb_rows, labels
from tests.testing.servers.cluster import Cluster, on_postgres, running_cluster
from tests.testing.servers.traffic import Answers, Load, assert_promise_kept, send_all
from tests.testing.servers.writer import (
    LEDGER_STEPS,
    STEPS,
    Fault,
    Work,
    acknowledged,
    refused,
    start,
)
from tests.testing.waiting import until

from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.lake import Lake
from lakegate.settings import Settings
from lakegate.v1 import ingest_pb2_grpc
from lakegate.v1.ingest_pb2 import GetStreamRequest, IngestRequest

# More of them: LAKEGATE_TEST_ROUNDS=1000.
ROUNDS = int(os.environ.get("LAKEGATE_TEST_ROUNDS", "50"))
CLIENTS = 16
LIVES = 20
BATCHES_A_LIFE = 120  # of which some are acknowledged
# Short, so that retries do not wait long for killed servers; safety does not depend on it.
LEASE = {"ledger_lease_seconds": 0.5}


@pytest.fixture(params=["sqlite", "postgresql"])
def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """Two servers on one catalog and one ledger, SQLite's or PostgreSQL's."""
    with ExitStack() as stack:
        settings: dict[str, object] = dict(LEASE)
        if request.param == "postgresql":
            settings |= on_postgres(monkeypatch, stack.enter_context(running_postgres()), tmp_path)
        yield stack.enter_context(running_cluster(tmp_path, settings))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [*STEPS, *LEDGER_STEPS])
def test_a_server_killed_at_a_step_of_a_keyed_commit_loses_and_doubles_nothing_after_retries(
    step: str, when: str, settings: Settings, catalog: Catalog
) -> None:
    brief = settings.model_copy(update=LEASE)
    fault = Fault(step, after=when == "after", nth=3)
    killed = Work(brief, settings.home / "1.log", "k", senders=2, keyed=True, fault=fault)
    process = start(killed)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    retried = Work(brief, settings.home / "2.log", "k", senders=2, keyed=True)
    process = start(retried)
    process.join(60)
    assert process.exitcode == 0
    assert refused(retried) == []
    assert set(acknowledged(killed)) < set(acknowledged(retried))
    assert Counter(duckdb_rows(catalog)) == Counter(acknowledged(retried))


async def test_a_kill_between_commit_and_settle_is_answered_with_the_snapshot_that_was_committed(
    settings: Settings, catalog: Catalog, decoder: LinesDecoder
) -> None:
    fault = Fault("settle", after=False, nth=1)
    work = Work(settings, settings.home / "log", "k", batches=1, keyed=True, fault=fault)
    process = start(work)
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
    [committed] = catalog.load_table(("default", "orders")).snapshots()
    lake = Lake(open_catalog(settings.catalog, settings.home), settings)
    replay = await lake.append(keyed(decoder, "k-0-0", {"label": "another body"}))
    await lake.close()
    assert replay.snapshot_id == str(committed.snapshot_id)
    assert (replay.rows_ingested, replay.replayed) == (1, True)
    assert labels(catalog) == ["k-0-0"]


async def test_servers_that_are_killed_or_drained_at_random_lose_and_double_nothing(
    cluster: Cluster,
) -> None:
    """Half of the senders retry with keys; the others get a true answer, or `outcome_unknown`."""
    servers, answers = cluster.servers, Answers()
    servers[1].settings = {**servers[1].settings, "drain_seconds": 0}  # waits for no commit
    chance = random.Random(5)  # noqa: S311 - no secret
    over = asyncio.Event()

    async def killer() -> None:
        for _ in range(ROUNDS):
            moment = len(answers) + chance.randrange(1, 4 * CLIENTS)
            await until(lambda: len(answers) >= moment)  # noqa: B023 - awaited here
            await asyncio.sleep(chance.uniform(0, 0.02))  # anywhere within a commit
            victim = chance.choice(servers)
            await asyncio.to_thread(chance.choice((victim.kill, victim.terminate)))
            await asyncio.to_thread(victim.start)
        over.set()

    numbers = itertools.takewhile(lambda _: not over.is_set(), itertools.count())
    load = Load(senders=CLIENTS, column_every=0)
    await asyncio.gather(killer(), send_all(servers, answers, numbers, load))
    assert_promise_kept(cluster.catalog, answers)


async def test_a_stream_client_that_dies_and_resumes_leaves_no_duplicate_and_no_hole(
    cluster: Cluster,
) -> None:
    """Each client uses the other server; every fifth time that server is killed with it."""
    servers, catalog = cluster.servers, cluster.catalog
    chance = random.Random(6)  # noqa: S311 - no secret
    resumed_at = []
    total = LIVES * BATCHES_A_LIFE
    for life in range(LIVES):
        server = servers[life % 2]
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            begin = await _next_offset(stub)
            resumed_at.append(begin)
            call = stub.IngestStream(_batches(begin, total))
            for _ in range(chance.randrange(1, 30)):
                response = await call.read()
                assert response.WhichOneof("result") == "acknowledgement", response
            call.cancel()  # with dozens of batches in flight
        if life % 5 == 4:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
    async with grpc.aio.insecure_channel(servers[0].address) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        begin = await _next_offset(stub)
        async for response in stub.IngestStream(_batches(begin, total)):
            assert response.WhichOneof("result") == "acknowledgement", response
        assert await _next_offset(stub) == total
    assert resumed_at == sorted(resumed_at)
    assert Counter(duckdb_rows(catalog)) == Counter(str(offset) for offset in range(total))


async def _next_offset(stub: ingest_pb2_grpc.IngestServiceStub) -> int:
    stream = await stub.GetStream(GetStreamRequest(table="orders", stream_id="s"))
    next_offset: int = stream.next_offset
    return next_offset


async def _batches(begin: int, end: int) -> AsyncIterator[IngestRequest]:
    for offset in range(begin, end):
        yield _request(str(offset), stream_id="s", offset=offset)


def _request(label: str, **options: object) -> IngestRequest:
    line = f'{{"label":"{label}"}}'.encode()
    return IngestRequest(table="orders", ndjson=line, **options)  # type: ignore[arg-type] # fields


@pytest.fixture
def decoder() -> LinesDecoder:
    return LinesDecoder()
