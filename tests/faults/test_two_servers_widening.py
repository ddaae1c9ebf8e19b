"""Two servers on one PostgreSQL add rows and columns, and run maintenance, at the same time."""

from pathlib import Path

import pytest
from tests.testing.postgres import running_postgres
from tests.testing.servers.cluster import on_postgres
from tests.testing.servers.widening import assert_widened_without_loss


async def test_every_acknowledged_row_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_postgres() as url:
        settings = on_postgres(monkeypatch, url, tmp_path)
        await assert_widened_without_loss(tmp_path, settings)
