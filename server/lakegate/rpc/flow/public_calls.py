"""Bounds calls that need no token: health checks and reflection.

gRPC has one limit of the message size for all methods of a server, and decompresses a message
before anybody sees it. So few of these messages are read at once.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from lakegate.concurrency.budget import overloaded
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.flow.interruption import Interruptible

# The name of a service or of a symbol, and its field.
MAX_MESSAGE_BYTES = 4 * 1024
# A message of a few bytes arrives with its headers, so that an honest caller is read at once.
MAX_READERS = 8
MAX_STREAMS = 256
MAX_STREAMS_PER_CALLER = 16


class PublicCalls:
    """Counts the calls that anybody may make. Used from one event loop."""

    def __init__(self) -> None:
        """Start without calls."""
        self._readers: dict[Interruptible, None] = {}
        self._streams: Counter[str] = Counter()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read a message inside.

        Where too many are read, the one that has not arrived for longest is ended: its call
        raises `LakegateError` (overloaded).
        """
        with Interruptible() as reader:
            self._readers[reader] = None
            if len(self._readers) > MAX_READERS:
                oldest = next(iter(self._readers))
                del self._readers[oldest]
                oldest.end()
            try:
                yield
            finally:
                self._readers.pop(reader, None)

    @contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        """Answer with a stream inside. Raises `LakegateError` (overloaded)."""
        full = self._streams.total() >= MAX_STREAMS
        if full or self._streams[caller] >= MAX_STREAMS_PER_CALLER:
            raise overloaded()
        self._streams[caller] += 1
        try:
            yield
        finally:
            self._streams[caller] -= 1
            if not self._streams[caller]:
                del self._streams[caller]


def check_size(message: bytes) -> bytes:
    """Return a message of such a call. Raises `LakegateError` (body_too_large)."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise LakegateError(
            ErrorCode.BODY_TOO_LARGE, f"the message is larger than {MAX_MESSAGE_BYTES} bytes"
        )
    return message
