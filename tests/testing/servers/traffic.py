"""Senders of batches to several servers, with and without keys, and the answers that they get."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import grpc
import grpc.aio
import pyarrow as pa
import pyarrow.compute as pc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from pyiceberg.catalog import Catalog
from tests.testing.lines import ORDERS, lines
from tests.testing.reading import duckdb_table, load
from tests.testing.servers.server import Server

from lakegate.errors import ErrorCode
from lakegate.v1.acknowledgement_pb2 import Acknowledgement
from lakegate.v1.ingest_pb2 import IngestRequest
from lakegate.v1.ingest_pb2_grpc import IngestServiceStub

ROWS = 3  # of a batch: one that is committed in part would show
PATIENCE_SECONDS = 30
# The reason of a refusal without Lakegate's own: the connection broke at an unknown moment.
BROKEN = "broken connection"
UNKNOWN = {BROKEN, ErrorCode.OUTCOME_UNKNOWN.name}


@dataclass(frozen=True)
class Batch:
    """Rows with unique labels; `column`, if any, has the label too."""

    label: str
    column: str | None = None

    @property
    def labels(self) -> list[str]:
        return [f"{self.label}/{row}" for row in range(ROWS)]

    def request(self, *, keyed: bool) -> IngestRequest:
        columns = ["label"] if self.column is None else ["label", self.column]
        return IngestRequest(
            table=ORDERS.table,
            ndjson=lines(*(dict.fromkeys(columns, label) for label in self.labels)),
            idempotency_key=self.label if keyed else "",
        )


@dataclass
class Answers:
    """The answers that senders got for their batches.

    `unknown`: batches that may or may not be committed. `refused`: batches that are not committed,
    with the reason. `wrongly_refused`: batches that were refused and whose retry found them
    committed. `deleted`: labels of rows that another engine has deleted since.
    """

    acknowledged: list[Batch] = field(default_factory=list)
    unknown: list[Batch] = field(default_factory=list)
    refused: dict[Batch, str] = field(default_factory=dict)
    wrongly_refused: dict[Batch, list[str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.acknowledged) + len(self.unknown) + len(self.refused)


class Sender:
    """Sends batches to several servers in turn, and records the answers."""

    def __init__(self, servers: Sequence[Server], answers: Answers) -> None:
        self._servers = servers
        self._answers = answers
        self._channels: dict[int, tuple[str, grpc.aio.Channel]] = {}
        self._attempts = itertools.count()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for _address, channel in self._channels.values():
            await channel.close()

    async def send(self, batch: Batch) -> None:
        """Send a batch once, without a key."""
        try:
            await self._ingest(batch.request(keyed=False))
        except grpc.aio.AioRpcError as error:
            reason = _reason(error)
            if reason in UNKNOWN:
                self._answers.unknown.append(batch)
            else:
                self._answers.refused[batch] = reason
        else:
            self._answers.acknowledged.append(batch)

    async def send_until_acknowledged(self, batch: Batch) -> None:
        """Send a batch with its label as the key until it is acknowledged."""
        reasons = []
        while True:
            try:
                answer = await self._ingest(batch.request(keyed=True))
            except grpc.aio.AioRpcError as error:
                reasons.append(_reason(error))
                await asyncio.sleep(0.01)
                continue
            self._answers.acknowledged.append(batch)
            if answer.replayed and not UNKNOWN.intersection(reasons):
                self._answers.wrongly_refused[batch] = reasons
            return

    async def _ingest(self, request: IngestRequest) -> Acknowledgement:
        """Send to the servers in turn."""
        channel = await self._channel(next(self._attempts) % len(self._servers))
        stub = IngestServiceStub(channel)
        answer: Acknowledgement = await stub.Ingest(request, timeout=PATIENCE_SECONDS)
        return answer

    async def _channel(self, number: int) -> grpc.aio.Channel:
        """Return the channel to a server, which has another address each time it is started."""
        address, known = self._servers[number].address, self._channels.get(number)
        if known is not None and known[0] == address:
            return known[1]
        if known is not None:
            await known[1].close()
        channel = grpc.aio.insecure_channel(address)
        self._channels[number] = address, channel
        return channel


def _reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # has all that is read
    for detail in status.details if status else ():
        info = ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return BROKEN


@dataclass(frozen=True)
class Load:
    """How batches are sent: every `column_every`th has a new column, unless that is 0.

    Each sender waits for `pause` seconds between its batches.
    """

    senders: int = 8
    column_every: int = 20
    pause: float = 0


async def send_all(
    servers: Sequence[Server], answers: Answers, numbers: Iterable[int], load: Load
) -> None:
    """Send a batch for each number; half of the senders use keys."""
    shared = iter(numbers)

    async def work(number: int) -> None:
        async with Sender(servers, answers) as sender:
            for batch in _batches(shared, str(number), load.column_every):
                if number % 2:
                    await sender.send_until_acknowledged(batch)
                else:
                    await sender.send(batch)
                await asyncio.sleep(load.pause)

    await asyncio.gather(*map(work, range(load.senders)))


def _batches(numbers: Iterator[int], prefix: str, column_every: int) -> Iterator[Batch]:
    for number in numbers:
        widens = column_every and number % column_every == column_every - 1
        yield Batch(f"{prefix}-{number}", f"column_{number}" if widens else None)


def assert_promise_kept(catalog: Catalog, answers: Answers) -> None:
    """Compare the answers with what PyIceberg and DuckDB read."""
    broken = {
        "pyiceberg": _violations(load(catalog).scan().to_arrow(), answers),
        "duckdb": _violations(duckdb_table(catalog), answers),
    }
    assert broken == {"pyiceberg": {}, "duckdb": {}}, broken


def _violations(seen: pa.Table, answers: Answers) -> dict[str, tuple[int, list[str]]]:
    """Return how many rows of each forbidden kind there are, and the first labels."""
    rows = Counter(seen["label"].to_pylist())
    sure = Counter(_labels(answers.acknowledged)) - Counter(answers.deleted)
    others = rows - sure
    in_part = [b for b in answers.unknown if sum(others[one] for one in b.labels) not in {0, ROWS}]
    kinds = {
        "acknowledged and missing": sure - rows,
        "doubled": rows - Counter(set(rows)),
        "deleted and there": rows & Counter(answers.deleted),
        "refused and there": others & Counter(_labels(answers.refused)),
        "refused and found by the retry": Counter(_labels(answers.wrongly_refused)),
        "never sent": others - Counter(_labels([*answers.refused, *answers.unknown])),
        "there in part": Counter(_labels(in_part)),
        "without their column": Counter(_without_column(seen, answers)),
    }
    return {kind: (labels.total(), sorted(labels)[:10]) for kind, labels in kinds.items() if labels}


def _without_column(seen: pa.Table, answers: Answers) -> Iterator[str]:
    """Return the labels of rows whose own column lacks its value."""
    for batch in answers.acknowledged:
        if batch.column is not None:
            there = seen.filter(pc.is_in(seen["label"], pa.array(batch.labels)))
            for label, value in zip(there["label"].to_pylist(), _values(there, batch), strict=True):
                if label != value:
                    yield label


def _values(rows: pa.Table, batch: Batch) -> list[str | None]:
    values: list[str | None] = (
        rows[batch.column].to_pylist() if batch.column in rows.schema.names else [None] * len(rows)
    )
    return values


def _labels(batches: Iterable[Batch]) -> Iterator[str]:
    return (label for batch in batches for label in batch.labels)
