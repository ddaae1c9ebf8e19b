"""How long to fuzz: a fixed number of inputs, always the same ones, or for as long as is set.

`LAKEGATE_TEST_FUZZ_SECONDS=600 pytest tests/fuzz` spends ten minutes on new inputs.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from tests.testing.mutations import Mutations

SECONDS = float(os.environ.get("LAKEGATE_TEST_FUZZ_SECONDS", "0"))
INPUTS = 7_000  # of each decoder: together more than 20,000
CORPUS = Path(__file__).parents[1] / "fuzz/corpus"


def inputs(kind: str) -> Iterator[bytes]:
    """Return inputs of a kind: those of the corpus as they are, then mutations of them."""
    seeds = [path.read_bytes() for path in sorted((CORPUS / kind).iterdir())]
    yield from seeds
    chance = random.Random(time.time_ns() if SECONDS else kind)  # noqa: S311 - no secret
    mutations = Mutations(seeds, chance)
    until = time.monotonic() + SECONDS
    done = len(seeds)
    while time.monotonic() < until if SECONDS else done < INPUTS:
        yield mutations.next()
        done += 1
