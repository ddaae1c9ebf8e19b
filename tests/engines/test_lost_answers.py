"""A REST catalog whose answers are lost, late or false: what is told stays true."""

from pathlib import Path

import pytest
from tests.testing.engines.fault_proxy import FAULTS, fault_proxy
from tests.testing.engines.rest_catalog import running_rest_catalog
from tests.testing.servers.cluster import running_cluster, shared_catalog
from tests.testing.servers.traffic import Answers, Load, assert_promise_kept, send_all

BATCHES = 150
# So few that some commits end in doubt.
ATTEMPTS = {"commit_attempts": 4}


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_row_is_lost_or_doubled_and_no_commit_is_refused(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers()
    with running_rest_catalog(tmp_path) as behind, fault_proxy(behind, seed) as (uri, proxy):
        settings = shared_catalog(monkeypatch, {"TYPE": "rest", "URI": uri})
        with running_cluster(tmp_path, {**settings, **ATTEMPTS}) as cluster:
            await send_all(cluster.servers, answers, range(BATCHES), Load())
            proxy.heal()
            assert len(answers) == BATCHES
            assert_promise_kept(cluster.catalog, answers)
    assert set(proxy.counts) == set(FAULTS)
