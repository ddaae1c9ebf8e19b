"""Refusals as callers see them: over an HTTP client, and on a bare connection."""

import asyncio
import json

from tests.testing.gate.echo_gate import EchoGate


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


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read an answer as it comes, whether or not the request was sent to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split()[0])
    body = json.loads(await reader.readexactly(length))
    return int(head.split()[1]), body["error"]
