"""Exactly once, simulated with faults at any moment.

A seed determines a world: servers with the real code from `Lake` down, on a catalog, a ledger and a
storage that pause, fail and lose answers; senders that retry and time out; other engines on the
same table; servers that are suspended, stopped and killed. The same seed gives the same world, step
by step.

- `loop`: virtual time, and threads that run one at a time; `world`: the decisions of a seed;
- `storage`, `catalogs`: the services that servers use; `servers`, `senders`, `engines`: the actors;
- `model`, with `reading`: the invariants, checked at each version of a table;
- `simulation`: one run.

`LAKEGATE_SIMULATION_SECONDS=600 pytest tests/simulation` runs new seeds for ten minutes,
`LAKEGATE_SIMULATION_SEED=7 pytest tests/simulation -s` one seed, and prints its trace.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulation.simulation import Outcome, simulate

SECONDS = float(os.environ.get("LAKEGATE_SIMULATION_SECONDS", "0"))
SEED = os.environ.get("LAKEGATE_SIMULATION_SEED")
SEEDS = 100
LINES_SHOWN = 60


def seeds() -> Iterator[int]:
    """Yield the seed of the environment, the fixed seeds, or new ones for the given time."""
    if SEED is not None:
        yield int(SEED)
    elif SECONDS:
        first = time.time_ns() // 1_000_000
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            yield first
            first += 1
    else:
        yield from range(SEEDS)


def test_every_promise_holds_in_every_world(tmp_path: Path) -> None:
    for seed in seeds():
        outcome = simulate(seed, _folder(tmp_path, f"{seed}"))
        if SEED is not None:
            print("\n".join(outcome.trace))  # noqa: T201 - that is what it was asked for
        if outcome.violations:
            pytest.fail(_report(outcome))


def test_a_seed_makes_the_same_world_again(tmp_path: Path) -> None:
    first = simulate(5, _folder(tmp_path, "first"))
    again = simulate(5, _folder(tmp_path, "again"))
    assert len(first.trace) > 100
    assert first.trace == again.trace


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _report(outcome: Outcome) -> str:
    return "\n".join(
        [
            *outcome.violations,
            *outcome.trace[-LINES_SHOWN:],
            f"LAKEGATE_SIMULATION_SEED={outcome.seed} .venv/bin/pytest tests/simulation -s",
        ]
    )
