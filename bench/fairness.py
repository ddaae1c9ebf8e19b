"""How much longer a request takes while others flood or attack the gate, in one run.

    python -m bench.fairness [floods | attacks] [SECONDS]

`floods`: the median time of a one-row request to a quiet table while another table is flooded.
`attacks`: that of a sender of 50 requests a second, while another token attacks the gate in each
way of `tests/testing/gate/attacks.py`; and the most memory that the server took.

Each is measured in turns of SECONDS with the idle gate, so that what else the machine does meets
both; the ratio is the median over the turns.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import uvloop
from bench.gate import serving
from bench.load import Load, run
from tests.testing.gate.attacks import ATTACKS, Target, under
from tests.testing.gate.memory import peak_memory
from tests.testing.gate.running_gate import running_gate
from tests.testing.gate.well_behaved import REQUESTS_PER_SECOND, send_steadily

from lakegate.auth.tokens import new_secret

DEFAULT_SECONDS = 2.0
TURNS = 5
FLOODS = (Load(32, 1), Load(32, 1000), Load(32, 20_000))
MIB = 1024 * 1024


def floods(seconds: float) -> None:
    """Measure beside floods of another table."""
    with serving("gate") as (address, _):
        ask(address, 1)  # makes the table
        for flood in FLOODS:
            report(str(flood), [flooded_turn(address, flood, seconds) for _ in range(TURNS)])


def attacks(seconds: float) -> None:
    """Measure beside attacks, each on a gate of its own."""
    for name in ATTACKS:
        attacker, sender = new_secret(), new_secret()
        settings = {
            "LAKEGATE_REQUIRE_TOKEN": "true",
            "LAKEGATE_TOKENS": f"{attacker} attacked ingest,provision\n{sender} sales ingest",
        }
        with (
            tempfile.TemporaryDirectory() as home,
            running_gate(Path(home) / "home", settings) as gate,
        ):
            target = Target(gate.http_addr, attacker, "attacked")
            ask_steadily = steady_sender(gate.http_addr, sender)
            ask_steadily(1)  # makes the table
            turns = [attacked_turn(ask_steadily, name, target, seconds) for _ in range(TURNS)]
            report(name, turns)
            print(f"{'':28} {peak_memory(gate.process.pid) // MIB} MiB at most", flush=True)


def report(name: str, turns: list[tuple[float, float]]) -> None:
    """Print the medians of the turns."""
    idle, busy = (statistics.median(times) for times in zip(*turns, strict=True))
    ratios = sorted(busy / calm for calm, busy in turns)
    print(
        f"{name:28} {idle:8.1f} {busy:10.1f} {statistics.median(ratios):6.2f}  ",
        " ".join(f"{ratio:.2f}" for ratio in ratios),
        flush=True,
    )


def flooded_turn(address: str, flood: Load, seconds: float) -> tuple[float, float]:
    """Return the median of the idle gate, then that beside the flood, in milliseconds."""
    idle = ask(address, seconds)
    arguments = [address, str(flood.connections), str(flood.rows), str(1 + 1.5 * seconds)]
    with flooding(*arguments):
        ask(address, 1)  # until it floods
        return idle, ask(address, seconds)


def ask(address: str, seconds: float) -> float:
    """Return the median time of a one-row request, in milliseconds."""
    return uvloop.run(run(address, Load(1, 1), seconds, "quiet")).median_ms


def attacked_turn(
    ask_steadily: Callable[[float], float], name: str, target: Target, seconds: float
) -> tuple[float, float]:
    """Return the median of the idle gate, then that beside the attack, in milliseconds."""
    idle = ask_steadily(seconds)
    with under(name, target):
        ask_steadily(1)  # until it attacks
        return idle, ask_steadily(seconds)


def steady_sender(address: str, token: str) -> Callable[[float], float]:
    """Return a function that sends for some seconds and returns the median in milliseconds."""
    first = count(0, 1_000_000)

    def send(seconds: float) -> float:
        requests = int(seconds * REQUESTS_PER_SECOND)
        outcome = uvloop.run(send_steadily(address, token, "sales", requests, next(first)))
        if set(outcome.statuses) != {200}:
            print(f"{'':28} {dict(outcome.statuses)}")
        return statistics.median(outcome.latencies) * 1000

    return send


@contextmanager
def flooding(*arguments: str) -> Iterator[None]:
    """Send a flood from a process of its own: the one that measures waits for the gate alone."""
    with subprocess.Popen([sys.executable, "-m", "bench.fairness", "flood", *arguments]):
        yield


def main(arguments: list[str]) -> None:
    """Measure what is asked for."""
    parts = {"floods": floods, "attacks": attacks}
    chosen = [name for name in arguments if name in parts] or list(parts)
    seconds = [float(each) for each in arguments if each not in parts] or [DEFAULT_SECONDS]
    print(f"{'beside':28} {'idle ms':>8} {'beside ms':>10} {'ratio':>6}   by turn")
    for name in chosen:
        parts[name](seconds[0])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["flood", address, connections, rows, seconds]:
            load = Load(int(connections), int(rows))
            uvloop.run(run(address, load, float(seconds), "flooded"))
        case arguments:
            main(arguments)
