"""A wire that can be cut: bytes pass between Envoy and its server until a test says no more."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Wire:
    """Connections to one server, through one port."""

    port: int = 0
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Reset every connection, as the kernel does for a process that was killed."""
        while self._ends:
            end = self._ends.pop()
            if end.is_closing():
                continue
            connection: socket.socket = end.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.close()

    def add(self, end: asyncio.StreamWriter) -> None:
        self._ends.add(end)


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    """Lay a wire to a port of this machine; it is taken up at the end of the block."""
    wire = Wire()
    flows: set[asyncio.Task[None]] = set()

    async def flow(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(64 * 1024):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            writer.close()
            return
        for source, sink in ((reader, other_writer), (other_reader, writer)):
            wire.add(sink)
            flows.add(asyncio.create_task(flow(source, sink)))

    listener = await asyncio.start_server(connect, "127.0.0.1", 0)
    wire.port = listener.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        listener.close()
        wire.cut()
        await asyncio.gather(*flows, return_exceptions=True)
