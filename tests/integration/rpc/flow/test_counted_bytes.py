"""Over a real socket: every byte that arrives counts towards the rate of its token."""

import gzip
from collections.abc import AsyncIterator, Iterable

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.admitting_gate import (
    MIB,
    REQUEST,
    Gate,
    refusal,
    retry_delay,
    running,
    sent_by,
    token,
)

from lakegate.concurrency.budget import Budget
from lakegate.rpc.flow.rates import Rates
from lakegate.v1.ingest_pb2 import IngestRequest

RATE = MIB
MALFORMED_GZIP = gzip.compress(bytes(range(256)) * 64)[:10] + b"x" * 2 * MIB


async def chunks_of(chunks: Iterable[bytes]) -> AsyncIterator[HttpBody]:
    for data in chunks:
        yield HttpBody(data=data)


async def refused(gate: Gate, chunks: Iterable[bytes], *headers: tuple[str, str]) -> str:
    metadata = {"x-table": "orders"} | dict(sent_by("t")) | dict(headers)
    error = await refusal(gate.stub.IngestBody(chunks_of(chunks), metadata=tuple(metadata.items())))
    return error.code().name


@pytest.mark.parametrize(
    ("chunks", "headers", "code", "seconds"),
    [
        pytest.param([bytes(MIB)] * 9, [], "RESOURCE_EXHAUSTED", 8, id="too large"),
        pytest.param(
            [gzip.compress(bytes(4 * MIB))[:-9]],
            [("content-encoding", "gzip")],
            "INVALID_ARGUMENT",
            3,
            id="compressed, cut short",
        ),
        pytest.param(
            [MALFORMED_GZIP],
            [("content-encoding", "gzip")],
            "INVALID_ARGUMENT",
            1,
            id="compressed, malformed",
        ),
        pytest.param(
            [bytes(4 * MIB)], [("x-table", "missing")], "NOT_FOUND", 3, id="of an unknown table"
        ),
    ],
)
async def test_a_refused_body_counts(
    chunks: list[bytes], headers: list[tuple[str, str]], code: str, seconds: int
) -> None:
    rates = Rates(0, RATE, lambda: 0.0)
    async with running(Budget(64 * MIB), rates=rates, tokens=[token("t")]) as gate:
        assert await refused(gate, chunks, *headers) == code
        error = await refusal(gate.stub.Ingest(REQUEST, metadata=sent_by("t")))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_delay(error) == pytest.approx(seconds, abs=0.05)


async def test_a_refused_batch_of_a_stream_counts() -> None:
    rates = Rates(0, RATE, lambda: 0.0)
    async with running(Budget(64 * MIB), rates=rates, tokens=[token("t")]) as gate:
        batches = [IngestRequest(table="orders", ndjson=bytes(2 * MIB))] * 3
        call = gate.stub.IngestStream(iter(batches), metadata=sent_by("t"))
        answers = [each.WhichOneof("result") async for each in call]
        assert "error" in answers
        error = await refusal(gate.stub.Ingest(REQUEST, metadata=sent_by("t")))
        assert retry_delay(error) == pytest.approx(5, abs=0.05)
