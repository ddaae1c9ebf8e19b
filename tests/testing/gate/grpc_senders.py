"""Senders of the largest batches over gRPC, many at once, in processes beside the test's.

They give way to the server, as if they were on other machines. The clients are gRPC's blocking
ones: its asyncio client may give INTERNAL for a call that ends while it sends.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing import get_context
from typing import Any, TypeAlias

import grpc
from google.api.httpbody_pb2 import HttpBody

from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

TABLE = "flooded"
PROCESSES = 4
LINE_BYTES = 64 * 1024
_GIVE_WAY = 19
_SECONDS = 300


@dataclass(frozen=True)
class Outcome:
    """What a sender was told: how many batches were acknowledged, and how the call ended."""

    sender: int
    acknowledged: int
    code: str


def rows(sender: int, batch: int, size: int) -> bytes:
    """Return `size` bytes of rows that name their batch."""
    start = b'{"batch":"%d-%d","label":"' % (sender, batch)
    return (start + b"x" * (LINE_BYTES - len(start) - 3) + b'"}\n') * (size // LINE_BYTES)


# Sends as the sender of that number; gives something for each batch that is acknowledged.
Send: TypeAlias = Callable[[Any, int], Iterator[None]]


def stream(stub: Any, sender: int, size: int, batches: int) -> Iterator[None]:
    """Send batches on a stream."""

    def requests() -> Iterator[IngestRequest]:
        for batch in range(batches):
            yield IngestRequest(table=TABLE, ndjson=rows(sender, batch, size))

    for answer in stub.IngestStream(requests(), timeout=_SECONDS):
        assert answer.WhichOneof("result") == "acknowledgement", answer
        yield


def body(
    stub: Any, sender: int, size: int, metadata: Sequence[tuple[str, str]] = ()
) -> Iterator[None]:
    """Send a body in one message."""
    chunk = HttpBody(content_type="application/x-ndjson", data=rows(sender, 0, size))
    stub.IngestBody(iter([chunk]), metadata=(("x-table", TABLE), *metadata), timeout=_SECONDS)
    yield


def send_all(address: str, senders: int, send: Send) -> list[Outcome]:
    """Run this many senders at once; return the outcome of each."""
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        each = senders // PROCESSES
        groups = [range(first, first + each) for first in range(0, senders, each)]
        return list(chain.from_iterable(pool.map(partial(_send_group, address, send), groups)))


def _send_group(address: str, send: Send, senders: Sequence[int]) -> list[Outcome]:
    os.nice(_GIVE_WAY)
    with ThreadPoolExecutor(len(senders)) as pool:
        return list(pool.map(partial(_outcome, address, send), senders))


def _outcome(address: str, send: Send, sender: int) -> Outcome:
    acknowledged = 0
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        try:
            for _ in send(IngestServiceStub(channel), sender):
                acknowledged += 1
        except grpc.RpcError as error:
            return Outcome(sender, acknowledged, error.code().name)
    return Outcome(sender, acknowledged, "OK")
