"""Servers on iceberg-core's own REST catalog: it answers a commit with the table as it is now."""

from pathlib import Path

import pytest
from tests.testing.engines.rest_catalog import running_rest_catalog
from tests.testing.servers.cluster import shared_catalog
from tests.testing.servers.widening import assert_widened_without_loss


async def test_two_servers_that_bring_columns_lose_and_double_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_rest_catalog(tmp_path) as uri:
        settings = shared_catalog(monkeypatch, {"TYPE": "rest", "URI": uri})
        await assert_widened_without_loss(tmp_path, settings)
