"""A sweep deletes files that writers are about to commit: nothing is lost, doubled or broken.

The sweep has no grace here: for a writer that is stopped for long enough, every grace is too short.
"""

import asyncio
import dataclasses
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.reading import duckdb_rows, labels
from tests.testing.servers.writer import Fault, Work, acknowledged, refused, start
from tests.testing.waiting import until

from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import GracePeriods, MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings

BATCHES = 4
# The steps at which there are files that no snapshot references yet.
STALLS = [
    Fault(step, after=after, nth=3, by=signal.SIGSTOP)
    for step, after in (
        ("data files", True),
        ("manifest", True),
        ("manifest list", False),
        ("manifest list", True),
        ("metadata", True),
        ("catalog", False),
    )
]


@pytest.fixture(
    params=STALLS, ids=lambda fault: f"{'after' if fault.after else 'before'} {fault.step}"
)
def work(request: pytest.FixtureRequest, settings: Settings) -> Work:
    log = settings.home / "stalled.log"
    impatient = settings.model_copy(update={"ledger_lease_seconds": 0})
    return Work(impatient, log, "row", batches=BATCHES, keyed=True, fault=request.param)


@contextmanager
def stalled(work: Work) -> Iterator[None]:
    """Start the writer, run the block while it is stopped, then resume it and wait for its end."""
    process = start(work)
    pid = process.pid
    assert pid is not None
    try:
        asyncio.run(until(lambda: is_stopped(pid)))
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        process.join(60)
        process.kill()


def is_stopped(pid: int) -> bool:
    """Return whether the process is stopped by a signal (proc(5), `/proc/pid/stat`)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def sweep(catalog: Catalog) -> int:
    maintenance = Maintenance(
        catalog, MaintenancePolicy(Retention(), grace_periods=GracePeriods(0, 0))
    )
    return maintenance.run().orphans_deleted


def test_a_writer_whose_files_were_swept_while_it_was_stopped_commits_none_of_them(
    work: Work, catalog: Catalog
) -> None:
    with stalled(work):
        assert sweep(catalog) > 0
        assert sorted(acknowledged(work)) == labels(catalog) == duckdb_rows(catalog)
    assert refused(work) == []
    assert len(acknowledged(work)) == BATCHES
    assert sorted(acknowledged(work)) == labels(catalog) == duckdb_rows(catalog)


def test_a_retry_at_another_server_meanwhile_is_the_only_one_that_commits(
    work: Work, catalog: Catalog
) -> None:
    retry = dataclasses.replace(work, log=work.log.with_name("retry.log"), fault=None)
    with stalled(work):
        assert sweep(catalog) > 0
        start(retry).join(60)
        sweep(catalog)
    assert refused(work) == refused(retry) == []
    assert acknowledged(work) == acknowledged(retry)
    assert len(acknowledged(work)) == BATCHES
    assert sorted(acknowledged(work)) == labels(catalog) == duckdb_rows(catalog)


def test_writers_whose_files_are_swept_all_the_time_lose_and_double_nothing(
    settings: Settings, catalog: Catalog
) -> None:
    works = [
        Work(settings, settings.home / f"{name}.log", name, senders=4, batches=15)
        for name in ("one", "two")
    ]
    processes = [start(work) for work in works]
    asyncio.run(until(lambda: all(map(acknowledged, works))))
    swept = 0
    while any(process.is_alive() for process in processes):
        swept += sweep(catalog)
    assert swept > 0
    assert [error for work in works for error in refused(work)] == []
    acks = sorted(label for work in works for label in acknowledged(work))
    assert len(acks) == 2 * 4 * 15
    assert acks == labels(catalog) == duckdb_rows(catalog)
