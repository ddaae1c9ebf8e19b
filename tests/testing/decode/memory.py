"""The memory that decoding a body takes, measured in a process of its own.

Run as a module: `<format> < body` prints what is charged and what is taken, in bytes.
"""

import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from lakegate.concurrency.workers import DECODING_FACTOR, VALUE_BYTES
from lakegate.decode.registry import FORMATS
from lakegate.model import Body

_ROOT = Path(__file__).parents[3]
_ADDRESS_SPACE = 6 * 1024**3
_PEAK = re.compile(r"VmHWM:\s+([0-9]+) kB")


class Memory(NamedTuple):
    """Bytes that a decoder's estimate charges, and that decoding then takes."""

    charged: int
    taken: int


def memory_of(format_: str, body: bytes) -> Memory:
    """Decode a body in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, format_],
        input=body,
        capture_output=True,
        check=True,
        cwd=_ROOT,
        timeout=120,
    )
    charged, taken = done.stdout.split()
    return Memory(int(charged), int(taken))


def _measure(format_: str, body: bytes) -> Memory:
    (decoder,) = (each() for each in FORMATS if (each.field or "json") == format_)
    decoder.decode([Body(b"")], decoder.default_schema)  # loads what is loaded once
    before = _peak()
    estimate = decoder.estimate([Body(body)], len(decoder.default_schema))
    decoder.decode([Body(body)], decoder.default_schema)
    charged = DECODING_FACTOR * estimate.size + VALUE_BYTES * estimate.values
    return Memory(charged, _peak() - before)


def _peak() -> int:
    match = _PEAK.search(Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) * 1024


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    sys.stdout.write("{} {}".format(*_measure(sys.argv[1], sys.stdin.buffer.read())))
