"""HTTP as it is on the wire, for what no client library sends."""

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """An answer of a gate; its body is JSON."""

    status: int
    headers: Mapping[str, str]
    json: Any

    @property
    def code(self) -> str:
        code: str = self.json["error"]["code"]
        return code


def send(addr: str, *pieces: bytes) -> Answer:
    """Send bytes as they are on a connection of their own; read one answer."""
    host, _, port = addr.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as connection:
        for piece in pieces:
            connection.sendall(piece)
        stream = connection.makefile("rb")
        status = int(stream.readline().split()[1])
        headers: dict[str, str] = {}
        while line := stream.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = headers.get("content-length")
        body = stream.read() if length is None else stream.read(int(length))
    return Answer(status, headers, json.loads(body))


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read an answer as it comes, whether or not the request was sent to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split()[0])
    body = json.loads(await reader.readexactly(length))
    return int(head.split()[1]), body["error"]
