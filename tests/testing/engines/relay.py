"""A TCP port in front of a Unix socket: Java's PostgreSQL driver knows no other way."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import ClassVar


class _Relay(BaseRequestHandler):
    behind: ClassVar[Path]

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as behind:
            behind.connect(str(self.behind))
            back = threading.Thread(target=_copy, args=(behind, self.request))
            back.start()
            _copy(self.request, behind)
            back.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side may end first
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def relay(behind: Path) -> Iterator[int]:
    """Return the port on loopback that leads to the socket `behind`."""
    handler = type("Relay", (_Relay,), {"behind": behind})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
