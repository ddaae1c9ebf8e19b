"""Bodies that are too large or in an encoding that cannot be read, refused at the edge."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.testing.gate.echo_gate import EchoGate, running_echo_gate
from tests.testing.gate.raw_http import read_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERIES = "/ingest/push/queries"
LIMIT = 64 * 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate() -> AsyncIterator[EchoGate]:
    async with running_echo_gate() as running:
        yield running


async def test_the_limit_itself_is_taken(gate: EchoGate) -> None:
    answer = await gate.rest.post("/v1/ingest", content=bytes(LIMIT))
    assert answer.json()["bytes_written"] == LIMIT


async def test_a_refusal_arrives_while_the_upload_goes_on(gate: EchoGate) -> None:
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(
        b"POST /v1/ingest HTTP/1.1\r\nHost: a\r\n"
        b"X-Refuse-After: 10\r\nContent-Length: 60000000\r\n\r\n"
    )
    writer.write(bytes(1000))  # and the rest never comes
    status, error = await read_answer(reader)
    writer.close()
    assert (status, error) == (413, error | {"code": "body_too_large", "message": "enough"})
