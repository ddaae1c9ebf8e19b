"""Over a real socket: the token is checked before the body is read or judged."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from tests.testing.gate.admitting_gate import MIB, refusal, running, sent_by, token

from lakegate.concurrency.budget import Budget
from lakegate.wire import EXPECTED_SIZE_KEY

TOKENS = [token("known")]
CALLERS = {"no token": (), "an unknown token": sent_by("unknown")}
METHODS = ("Ingest", "IngestBody", "IngestStream", "GetStream")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("caller", CALLERS)
async def test_a_call_is_refused_though_nothing_of_its_body_has_arrived(
    method: str, caller: str
) -> None:
    async with running(Budget(16 * MIB), tokens=TOKENS) as gate:
        never = asyncio.Event()

        async def nothing() -> AsyncIterator[bytes]:
            await never.wait()
            yield b""

        call: Any = gate.channel.stream_stream(f"/lakegate.v1.IngestService/{method}")
        answers = call(nothing(), metadata=CALLERS[caller])
        error = await refusal(anext(aiter(answers)))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert gate.budget.used == 0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((), id="without a table"),
        pytest.param((("x-table", "Not A Name"),), id="with a bad table"),
        pytest.param((("x-table", "t"), ("content-encoding", "br")), id="in another encoding"),
        pytest.param((("x-table", "t"), (EXPECTED_SIZE_KEY, str(10**9))), id="too large"),
    ],
)
async def test_a_body_that_would_be_refused_is_refused_for_its_token(
    headers: tuple[tuple[str, str], ...],
) -> None:
    async def malformed() -> AsyncIterator[HttpBody]:
        yield HttpBody(content_type="image/png", data=b"\xff")

    async with running(Budget(16 * MIB), tokens=TOKENS) as gate:
        metadata = (*sent_by("unknown"), *headers)
        error = await refusal(gate.stub.IngestBody(malformed(), metadata=metadata))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
