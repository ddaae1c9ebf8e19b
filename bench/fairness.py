"""One table flooded, another one asked: how much longer a single row takes, in one run.

    python -m bench.fairness [SECONDS]

Prints the median time of a one-row request to a quiet table on the idle gate, beside
a table that is flooded with small batches, and beside one that is flooded with large
ones; the ratio is to the idle one.
"""

import subprocess
import sys

import uvloop
from bench.gate import serving
from bench.load import Load, run

DEFAULT_SECONDS = 5.0
FLOODS = (Load(32, 1), Load(32, 1000), Load(32, 20_000))


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS
    with serving("gate") as address:
        ask(address, 1)  # makes the table
        idle = ask(address, seconds)
        print(f"{'idle':32} {idle:8.1f} ms")
        for flood in FLOODS:
            # In a process of its own: the one that measures is to wait for the gate alone.
            arguments = [address, str(flood.connections), str(flood.rows), str(2 * seconds)]
            with subprocess.Popen(
                [sys.executable, "-m", "bench.fairness", "flood", *arguments]
            ) as process:
                ask(address, seconds / 2)  # until it floods
                median = ask(address, seconds)
                process.wait()
            print(f"{flood!s:32} {median:8.1f} ms {median / idle:6.2f} of idle", flush=True)


def ask(address: str, seconds: float) -> float:
    """Give the median time of a one-row request, in milliseconds."""
    return uvloop.run(run(address, Load(1, 1), seconds, "quiet")).median_ms


if __name__ == "__main__":
    if sys.argv[1:2] == ["flood"]:
        address, connections, rows, seconds = sys.argv[2:]
        uvloop.run(run(address, Load(int(connections), int(rows)), float(seconds), "flooded"))
    else:
        main()
