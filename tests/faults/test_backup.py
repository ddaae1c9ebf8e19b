"""Backups under load, with maintenance running, restored at the same path and at another one."""

import asyncio
import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.testing.servers.restored import check_restored, running
from tests.testing.servers.traffic import Answers, Load, assert_promise_kept, send_all

from lakegate.lake.backup.restore import restore
from lakegate.lake.backup.save import save
from lakegate.lake.catalog.open import open_catalog
from lakegate.lake.maintenance.maintain import Maintenance
from lakegate.lake.maintenance.policy import GracePeriods, MaintenancePolicy
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings

# More of them: LAKEGATE_TEST_ROUNDS=100.
ROUNDS = int(os.environ.get("LAKEGATE_TEST_ROUNDS", "2"))
BATCHES = 80


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_acknowledged_rows_are_restored_and_no_retry_doubles_them(
    tmp_path: Path, round_: int
) -> None:
    home, backup, elsewhere = tmp_path / "home", tmp_path / "backup", tmp_path / "elsewhere"
    enough = random.Random(round_).randrange(1, BATCHES)  # noqa: S311 - no secret
    answers = Answers()
    with running(home) as server, swept_all_the_time(home):
        load = asyncio.create_task(
            send_all([server], answers, range(BATCHES), Load(column_every=0))
        )
        while len(answers.acknowledged) < enough:  # noqa: ASYNC110 - of tasks
            await asyncio.sleep(0.001)
        before = list(answers.acknowledged)
        await asyncio.to_thread(save, home, backup)
        await load
    await asyncio.to_thread(restore, backup, elsewhere)
    await check_restored(elsewhere, before, answers)
    with open_catalog("lakegate", elsewhere) as catalog:
        Maintenance(catalog, policy_of(elsewhere)).run()
    with open_catalog("lakegate", home) as catalog:
        assert_promise_kept(catalog, answers)  # of the original
    shutil.rmtree(home)
    await asyncio.to_thread(restore, backup, home)
    await check_restored(home, before, answers)


@contextmanager
def swept_all_the_time(home: Path) -> Iterator[None]:
    """Compact, expire and sweep without a grace period until the end of the block."""
    ended = threading.Event()

    def maintain() -> None:
        with open_catalog("lakegate", home) as catalog:
            while not ended.is_set():
                Maintenance(catalog, policy_of(home)).run()

    thread = threading.Thread(target=maintain)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def policy_of(home: Path) -> MaintenancePolicy:
    ledger = Settings(home=home).ledger_database
    return MaintenancePolicy(Retention(3, 0), grace_periods=GracePeriods(0, 0), ledger_url=ledger)
