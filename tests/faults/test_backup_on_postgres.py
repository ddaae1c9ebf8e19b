"""A catalog and a ledger in one PostgreSQL database are saved by one `pg_dump`, under load."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from tests.testing.postgres import new_database, postgres_program, running_postgres
from tests.testing.servers.cluster import shared_catalog
from tests.testing.servers.restored import SETTINGS, check_restored, running
from tests.testing.servers.traffic import Answers, Load, send_all

BATCHES = 80


def on_one_database(
    monkeypatch: pytest.MonkeyPatch, url: str, warehouse: Path
) -> dict[str, object]:
    """Return the settings of a server whose catalog and ledger are in the database at `url`."""
    properties = {"TYPE": "sql", "URI": url, "WAREHOUSE": warehouse.as_uri()}
    return {**SETTINGS, **shared_catalog(monkeypatch, properties), "ledger_url": url}


async def test_no_acknowledged_row_is_missing_and_no_retry_is_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, dump, answers = tmp_path / "warehouse", tmp_path / "dump", Answers()
    warehouse.mkdir()
    with running_postgres() as postgres:
        url = new_database(postgres, "original")
        settings = on_one_database(monkeypatch, url, warehouse)
        with running(tmp_path / "home", settings) as server:
            load = Load(column_every=0)
            sending = asyncio.create_task(send_all([server], answers, range(BATCHES), load))
            while len(answers.acknowledged) < BATCHES // 3:  # noqa: ASYNC110 - of tasks
                await asyncio.sleep(0.001)
            before = list(answers.acknowledged)
            await run("pg_dump", "--format=custom", f"--file={dump}", plain(url))
            await sending
        restored = new_database(postgres, "restored")
        await run("pg_restore", f"--dbname={plain(restored)}", str(dump))
        settings = on_one_database(monkeypatch, restored, warehouse)
        await check_restored(tmp_path / "home", before, answers, settings)


def plain(url: str) -> str:
    """Return the URL for PostgreSQL's own programs."""
    return url.replace("postgresql+psycopg://", "postgresql://")


async def run(program: str, *arguments: str) -> None:
    await asyncio.to_thread(
        subprocess.run, [postgres_program(program), *arguments], check=True, timeout=60
    )
