"""Refusals as callers see them: over an HTTP client, and on a bare connection."""

import asyncio

from tests.testing.gate.echo_gate import EchoGate
from tests.testing.gate.raw_http import read_answer


async def refused(
    gate: EchoGate,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    """Send what is to be refused; give status, code and message."""
    answer = await gate.rest.request(method, path, content=body, headers=headers)
    assert answer.headers["content-type"] == "application/json"
    assert not [name for name in answer.headers if name.startswith(("grpc-", "lakegate-"))]
    error = answer.json()["error"]
    assert answer.json() == {"error": error}
    assert set(error) == {"code", "message", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, error["code"], error["message"]


async def answer_to(gate: EchoGate, request: str) -> tuple[int, dict[str, str]]:
    """Send a request as it is; give the status and the error."""
    reader, writer = await asyncio.open_connection(*gate.address)
    writer.write(request.encode())
    async with asyncio.timeout(30):
        answer = await read_answer(reader)
    writer.close()
    return answer
