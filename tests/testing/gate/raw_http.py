"""HTTP as bytes, for what no client library sends or reads."""

import asyncio
import json


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Read an answer as it comes, whether or not the request was sent to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:")[1].split()[0])
    body = json.loads(await reader.readexactly(length))
    return int(head.split()[1]), body["error"]
