"""One table flooded, another one asked: how much longer a single row takes, in one run.

    python -m bench.fairness [SECONDS]

Prints the median time of a one-row request to a quiet table while another table is
flooded, beside the idle gate. The two are measured in turns of SECONDS, so that what
else the machine does meets both; the ratio is the median over the turns.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop
from bench.gate import serving
from bench.load import Load, run

DEFAULT_SECONDS = 2.0
TURNS = 5
FLOODS = (Load(32, 1), Load(32, 1000), Load(32, 20_000))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS
    print("flood of another table        idle ms flooded ms  ratio  by turn")
    with serving("gate") as address:
        ask(address, 1)  # makes the table
        for flood in FLOODS:
            turns = [turn(address, flood, seconds) for _ in range(TURNS)]
            idle, flooded = (statistics.median(times) for times in zip(*turns, strict=True))
            ratios = sorted(busy / calm for calm, busy in turns)
            print(
                f"{flood!s:28} {idle:8.1f} {flooded:10.1f} {statistics.median(ratios):6.2f}  ",
                " ".join(f"{ratio:.2f}" for ratio in ratios),
                flush=True,
            )


def turn(address: str, flood: Load, seconds: float) -> tuple[float, float]:
    """Return the median of the idle gate, then that beside the flood, in milliseconds."""
    idle = ask(address, seconds)
    with flooding(address, flood, 1 + 1.5 * seconds):
        ask(address, 1)  # until it floods
        return idle, ask(address, seconds)


def ask(address: str, seconds: float) -> float:
    """Return the median time of a one-row request, in milliseconds."""
    return uvloop.run(run(address, Load(1, 1), seconds, "quiet")).median_ms


@contextmanager
def flooding(address: str, flood: Load, seconds: float) -> Iterator[None]:
    """Send a flood from a process of its own: the one that measures waits for the gate alone."""
    arguments = [address, str(flood.connections), str(flood.rows), str(seconds)]
    with subprocess.Popen([sys.executable, "-m", "bench.fairness", "flood", *arguments]):
        yield


if __name__ == "__main__":
    if sys.argv[1:2] == ["flood"]:
        address, connections, rows, seconds = sys.argv[2:]
        uvloop.run(run(address, Load(int(connections), int(rows)), float(seconds), "flooded"))
    else:
        main()
