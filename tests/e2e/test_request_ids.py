"""A request id leads from any answer to the lines of the log, whoever refused the request."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.testing.gate.raw_http import send
from tests.testing.gate.running_gate import RunningGate, running_gate
from tests.testing.waiting import until

from lakegate.v1.ingest_pb2 import IngestRequest

# The status, the request line and its headers, the body. None of these reach the server.
REFUSED_BY_ENVOY = {
    "unknown path": (404, "GET /nowhere?token=secret-word HTTP/1.1\r\nHost: localhost\r\n", b""),
    "wrong method": (405, "PUT /v1/ingest HTTP/1.1\r\nHost: localhost\r\n", b""),
    "large headers": (
        431,
        f"GET /health HTTP/1.1\r\nHost: localhost\r\nX-L: {'l' * 17000}\r\n",
        b"",
    ),
    "headers beyond 64 KiB": (
        431,
        f"GET /health HTTP/1.1\r\nHost: localhost\r\nX-L: {'l' * 80000}\r\n",
        b"",
    ),
    "escaped slash": (400, "GET /a%2fb HTTP/1.1\r\nHost: localhost\r\n", b""),
    "no host": (400, "GET /health HTTP/1.1\r\n", b""),
    "upgrade": (
        400,
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
        b"",
    ),
    "transfer encoding": (
        400,
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n",
        b"",
    ),
    "no HTTP": (400, "hello\r\n", b""),
}
BY_THE_SERVER = {
    "too long": (
        413,
        "POST /v1/ingest HTTP/1.1\r\nX-Table: t\r\nHost: localhost\r\nContent-Length: 99999999\r\n",
        b"",
    ),
    "format": (
        415,
        (
            "POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nX-Table: t\r\n"
            "Content-Type: text/xml\r\nContent-Length: 1\r\n"
        ),
        b"x",
    ),
    "no token": (
        401,
        "POST /ingest/push/queries HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n",
        b"x",
    ),
}
# What Envoy gives up reading before it has read the caller's request id.
UNREAD = {"headers beyond 64 KiB", "transfer encoding", "no HTTP"}
PRINTABLE = ["a@b", "req|1", "two words", 'quote " and \\', "x] forged [y", "~" * 255]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGate]:
    with running_gate(tmp_path_factory.mktemp("request_ids") / "home") as running:
        yield running


def log(gate: RunningGate) -> str:
    return (gate.home / "log").read_text()


def access_lines(gate: RunningGate, request_id: str) -> list[dict[str, Any]]:
    """Return the entries of the access log for a request."""
    entries = [
        json.loads(each) for each in re.findall(r"lakegate\.access \[.*?\] ({.*})", log(gate))
    ]
    return [entry for entry in entries if entry["request_id"] == request_id]


async def request(
    gate: RunningGate, method: str, path: str, headers: dict[str, str]
) -> httpx.Response:
    async with httpx.AsyncClient(base_url=gate.url) as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize("sent", [None, "mine"])
@pytest.mark.parametrize("name", REFUSED_BY_ENVOY | BY_THE_SERVER)
async def test_every_refusal_has_a_request_id_in_its_body_its_header_and_the_log(
    gate: RunningGate, name: str, sent: str | None
) -> None:
    status, head, body = (REFUSED_BY_ENVOY | BY_THE_SERVER)[name]
    own = f"{sent}-{name.replace(' ', '-')}" if sent else None
    line = f"X-Request-ID: {own}\r\n" if own else ""
    request_line, _, rest = head.partition("\r\n")
    answer = send(gate.http_addr, f"{request_line}\r\n{line}{rest}\r\n".encode(), body)
    request_id = answer.json["error"]["request_id"]
    assert answer.status == status
    assert answer.headers["x-request-id"] == request_id
    assert request_id == own or ((not own or name in UNREAD) and uuid.UUID(request_id))
    await until(lambda: f"[{request_id}]" in log(gate))


@pytest.mark.parametrize("name", REFUSED_BY_ENVOY)
async def test_a_refusal_of_envoy_is_a_line_of_json(gate: RunningGate, name: str) -> None:
    status, head, body = REFUSED_BY_ENVOY[name]
    answer = send(gate.http_addr, f"{head}\r\n".encode(), body)
    request_id = answer.json["error"]["request_id"]
    await until(lambda: bool(access_lines(gate, request_id)))
    [entry] = access_lines(gate, request_id)
    assert entry["status"] == status
    assert entry["peer"] == "127.0.0.1"
    if name == "unknown path":
        assert (entry["method"], entry["path"]) == ("GET", "/nowhere")


async def test_the_log_has_no_token_and_no_key(gate: RunningGate) -> None:
    headers = {"Authorization": "Bearer secret-word", "X-Idempotency-Key": "secret-word"}
    answer = await request(gate, "PUT", "/v1/ingest?key=secret-word", headers)
    await until(lambda: bool(access_lines(gate, answer.headers["x-request-id"])))
    assert "secret-word" not in log(gate)


@pytest.mark.parametrize("request_id", PRINTABLE)
@pytest.mark.parametrize("path", ["/v1/ingest", "/nowhere"], ids=["server", "Envoy"])
async def test_a_printable_request_id_is_returned_and_quoted_in_the_log(
    gate: RunningGate, path: str, request_id: str
) -> None:
    answer = await request(gate, "POST", path, {"X-Request-ID": request_id})
    assert answer.headers["x-request-id"] == request_id
    assert answer.json()["error"]["request_id"] == request_id
    await until(lambda: f" [{json.dumps(request_id)}] " in log(gate))
    assert f" [{request_id}] " not in log(gate)


async def test_what_is_served_costs_no_line(gate: RunningGate) -> None:
    served = gate.ingest("quiet", "{}")
    refused = await request(gate, "GET", "/nowhere", {})
    await until(lambda: bool(access_lines(gate, refused.headers["x-request-id"])))
    assert access_lines(gate, served.headers["x-request-id"]) == []


async def test_a_refused_grpc_call_has_a_line_too(gate: RunningGate) -> None:
    with grpc.insecure_channel(gate.http_addr) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/lakegate.v1%2FIngest", request_serializer=bytes)(
            b"", metadata=(("x-request-id", "grpc-refused"),)
        )
    assert refused.value.code() is not grpc.StatusCode.OK
    await until(lambda: bool(access_lines(gate, "grpc-refused")))


async def test_every_request_has_a_line_at_the_setting(tmp_path: Path) -> None:
    with running_gate(
        tmp_path / "home", {"LAKEGATE_ACCESS_LOG": "all", "LAKEGATE_LOG_LEVEL": "INFO"}
    ) as all_logged:
        served = all_logged.ingest("logged", "{}", {"X-Request-ID": "served"})
        with grpc.insecure_channel(all_logged.http_addr) as channel:
            channel.unary_unary(
                "/lakegate.v1.IngestService/Ingest",
                request_serializer=IngestRequest.SerializeToString,
            )(IngestRequest(table="logged", ndjson=b"{}"), metadata=(("x-request-id", "grpc"),))
        await until(
            lambda: bool(access_lines(all_logged, "served") and access_lines(all_logged, "grpc"))
        )
        [entry] = access_lines(all_logged, "served")
    assert (entry["status"], entry["path"], served.status_code) == (200, "/v1/ingest", 200)
