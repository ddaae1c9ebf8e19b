"""Two servers whose senders add columns during maintenance: nothing may be lost."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.testing.servers.cluster import running_cluster
from tests.testing.servers.traffic import Answers, Load, assert_promise_kept, send_all

# More of them: LAKEGATE_TEST_BATCHES=2000.
BATCHES = int(os.environ.get("LAKEGATE_TEST_BATCHES", "200"))
# As often as possible; it must not delete files that the servers are about to commit.
MAINTENANCE = {"maintenance_interval_seconds": 2, "orphan_grace_seconds": 60}


async def assert_widened_without_loss(home: Path, settings: Mapping[str, object]) -> None:
    """Send batches to two servers with these settings; check that every row is there once."""
    answers = Answers()
    with running_cluster(home, {**settings, **MAINTENANCE}) as cluster:
        await send_all(cluster.servers, answers, range(BATCHES), Load())
        assert len(answers) == BATCHES
        assert_promise_kept(cluster.catalog, answers)
    assert answers.refused == {}
    assert answers.unknown == []
