"""While somebody attacks the gate, a sender with another token and database is served."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.testing.gate.attacks import ATTACKS, MIB, Target, under
from tests.testing.gate.memory import observed
from tests.testing.gate.running_gate import RunningGate, running_gate
from tests.testing.gate.well_behaved import TABLE, send_steadily

from lakegate.auth.tokens import new_secret
from lakegate.rpc.flow.memory_guard import watermark
from lakegate.settings import Settings

ATTACKER, SENDER = new_secret(), new_secret()
BUDGET = 1024 * MIB
ENVOY = 512 * MIB
REQUESTS = 250


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[RunningGate]:
    settings = {
        "LAKEGATE_REQUIRE_TOKEN": "true",
        "LAKEGATE_TOKENS": f"{ATTACKER} attacked ingest,provision\n{SENDER} sales ingest",
        "LAKEGATE_MEMORY_BUDGET_BYTES": str(BUDGET),
        "LAKEGATE_ENVOY_MEMORY_BYTES": str(ENVOY),
    }
    with running_gate(tmp_path / "home", settings) as running:
        yield running


@pytest.mark.parametrize("attack", ATTACKS)
async def test_nobody_else_notices(gate: RunningGate, attack: str) -> None:
    target = Target(gate.http_addr, ATTACKER, "attacked")
    server = psutil.Process(gate.process.pid)
    [envoy] = [each for each in server.children(recursive=True) if "envoy" in each.name()]
    with under(attack, target):
        async with observed(server) as memory, observed(envoy) as envoy_memory:
            outcome = await send_steadily(gate.http_addr, SENDER, "sales", REQUESTS)
    assert outcome.statuses == {200: REQUESTS}
    assert memory.size < watermark(Settings(memory_budget_bytes=BUDGET))
    assert envoy_memory.size < ENVOY
    ids = Counter(row["id"] for row in gate.rows(TABLE, "sales"))
    assert ids == Counter(str(number) for number in range(REQUESTS))
