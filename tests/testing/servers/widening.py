"""Two servers whose senders bring new columns, beside maintenance: nothing may be lost."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.testing.servers.cluster import running_cluster
from tests.testing.servers.traffic import Load, Told, assert_promise_kept, send_all

# More of them: LAKEGATE_TEST_BATCHES=2000.
BATCHES = int(os.environ.get("LAKEGATE_TEST_BATCHES", "200"))
# As often as it may: what it must not touch is what the servers are about to commit.
MAINTENANCE = {"maintenance_interval_seconds": 2, "orphan_grace_seconds": 60}


async def assert_widened_without_loss(home: Path, settings: Mapping[str, object]) -> None:
    """Send batches to two servers with these settings; every row is there once."""
    told = Told()
    with running_cluster(home, {**settings, **MAINTENANCE}) as cluster:
        await send_all(cluster.servers, told, range(BATCHES), Load())
        assert len(told) == BATCHES
        assert_promise_kept(cluster.catalog, told)
    assert told.refused == {}
    assert told.unknown == []
