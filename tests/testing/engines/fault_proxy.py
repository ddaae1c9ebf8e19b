"""A proxy in front of a REST catalog that loses, delays and falsifies answers to commits."""

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

COMMIT = re.compile(r"/v1/namespaces/[^/]+/tables/[^/]+")
UNAVAILABLE = b'{"error":{"message":"try later","type":"ServiceUnavailable","code":503}}'
# Longer than a commit, so that others come in between; and the most of the reads that fail.
LATE_SECONDS = 0.3
BLIND_READS = 40


class Fault(Enum):
    """What becomes of the answer to a commit, which the catalog has always got."""

    NONE = auto()
    LOST = auto()
    LOST_AND_READS_FAIL = auto()
    UNAVAILABLE = auto()
    LATE = auto()


FAULTS = [fault for fault in Fault if fault is not Fault.NONE]


class FaultProxy:
    """Decides the fate of each request; `counts` says what it did."""

    def __init__(self, uri: str, seed: int) -> None:
        self.client = httpx.Client(base_url=uri, timeout=60)
        self.counts: Counter[Fault] = Counter()
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._blind_reads = 0
        self._healed = False

    def heal(self) -> None:
        """From now on all is well."""
        self._healed = True

    def fault(self) -> Fault:
        """Choose the fault of a commit; every other one has one."""
        with self._lock:
            if self._healed or self._chance.random() < 0.5:
                return Fault.NONE
            fault = self._chance.choice(FAULTS)
            self.counts[fault] += 1
            if fault is Fault.LOST_AND_READS_FAIL:
                self._blind_reads = self._chance.randrange(1, BLIND_READS)
            return fault

    def fails_read(self) -> bool:
        with self._lock:
            self._blind_reads = max(0, self._blind_reads - 1)
            return self._blind_reads > 0 and not self._healed


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy
    protocol_version = "HTTP/1.0"  # a connection that is closed without an answer is a lost one

    def do_GET(self) -> None:
        if not self.proxy.fails_read():
            self._answer(self._forward())

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self._answer(self._forward())

    def do_POST(self) -> None:
        answer = self._forward()
        is_commit = answer.is_success and COMMIT.fullmatch(self.path)
        match self.proxy.fault() if is_commit else Fault.NONE:
            case Fault.NONE:
                self._answer(answer)
            case Fault.UNAVAILABLE:
                self._answer(httpx.Response(503, content=UNAVAILABLE))
            case Fault.LATE:
                time.sleep(LATE_SECONDS)
                self._answer(answer)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _forward(self) -> httpx.Response:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        return self.proxy.client.request(self.command, self.path, content=body, headers=headers)

    def _answer(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Close the connections to servers that were killed."""


@contextmanager
def fault_proxy(uri: str, seed: int) -> Iterator[tuple[str, FaultProxy]]:
    """Return the URI of the proxy in front of the catalog at `uri`, and the proxy."""
    proxy = FaultProxy(uri, seed)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with proxy.client, _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", proxy
        server.shutdown()
