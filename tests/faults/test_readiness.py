"""`/ready` and grpc.health.v1 report what does not work, by name; `/health` is about the server."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from tests.testing.gate.running_gate import RunningGate, running_gate
from tests.testing.postgres import new_database, running_postgres

WAIT_SECONDS = 60
ROW = '{"label":"a"}'


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[RunningGate]:
    with running_gate(tmp_path / "home") as running:
        yield running


def readiness(gate: RunningGate) -> tuple[int, str]:
    """Return the status of `/ready`, and its message."""
    answer = httpx.get(f"{gate.url}/ready", timeout=30)
    body = answer.json()
    return answer.status_code, body["status"] if answer.is_success else body["error"]["message"]


def until(expected: object, read: Callable[[], object]) -> None:
    """Read until the result is as expected."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (seen := read()) != expected:
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)


def services(gate: RunningGate) -> dict[str, str]:
    """Return the status of services for grpc.health.v1."""
    with grpc.insecure_channel(gate.http_addr) as channel:
        stub: Any = HealthStub(channel)
        return {
            service: HealthCheckResponse.ServingStatus.Name(
                stub.Check(HealthCheckRequest(service=f"lakegate.v1.{service}")).status
            )
            for service in ("IngestService", "TableService", "HealthService")
        }


def assert_alive(gate: RunningGate) -> None:
    assert httpx.get(f"{gate.url}/health", timeout=30).json() == {"status": "ok"}


def test_a_gate_with_all_that_it_needs_is_ready(gate: RunningGate) -> None:
    assert readiness(gate) == (200, "ready")


def test_a_broken_catalog_is_named_and_the_server_is_alive(gate: RunningGate) -> None:
    assert gate.ingest("orders", ROW).status_code == 200
    for path in gate.home.glob("catalog.db*"):
        path.write_bytes(b"x" * 8192)
    until((503, "These do not work: catalog."), lambda: readiness(gate))
    assert_alive(gate)
    broken = {"IngestService": "NOT_SERVING", "TableService": "NOT_SERVING"}
    until({**broken, "HealthService": "SERVING"}, lambda: services(gate))
    assert "Not ready: catalog" in (gate.home / "log").read_text()


def test_a_replaced_ledger_is_named_and_calls_that_do_not_need_it_are_served(
    gate: RunningGate,
) -> None:
    ledger = gate.home / "ledger.db"
    assert readiness(gate) == (200, "ready")
    ledger.rename(gate.home / "away")
    until((503, "These do not work: ledger."), lambda: readiness(gate))
    served = {"TableService": "SERVING", "HealthService": "SERVING"}
    until({"IngestService": "NOT_SERVING", **served}, lambda: services(gate))
    (gate.home / "away").rename(ledger)
    until((200, "ready"), lambda: readiness(gate))


@contextmanager
def disk_full(gate: RunningGate) -> Iterator[None]:
    """Prevent the server from writing to any file."""
    before = resource.prlimit(gate.process.pid, resource.RLIMIT_FSIZE, (0, -1))
    try:
        yield
    finally:
        resource.prlimit(gate.process.pid, resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_bytes_is_named_until_it_takes_them_again(gate: RunningGate) -> None:
    with disk_full(gate):
        until((503, True), lambda: (readiness(gate)[0], "storage" in readiness(gate)[1]))
        assert_alive(gate)
    until((200, "ready"), lambda: readiness(gate))
    assert [*(gate.home / "warehouse").iterdir()] == []  # probes leave nothing
    assert gate.ingest("orders", ROW).status_code == 200


def test_a_postgres_that_is_gone_is_named(tmp_path: Path) -> None:
    with ExitStack() as stack, ExitStack() as database:
        url = database.enter_context(running_postgres())
        settings = {
            "PYICEBERG_CATALOG__LAKEGATE__TYPE": "sql",
            "PYICEBERG_CATALOG__LAKEGATE__URI": new_database(url, "catalog"),
            "PYICEBERG_CATALOG__LAKEGATE__WAREHOUSE": (tmp_path / "warehouse").as_uri(),
            "LAKEGATE_LEDGER_URL": new_database(url, "ledger"),
        }
        (tmp_path / "warehouse").mkdir()
        gate = stack.enter_context(running_gate(tmp_path / "home", settings))
        assert readiness(gate) == (200, "ready")
        database.close()
        until((503, "These do not work: catalog, ledger."), lambda: readiness(gate))
        assert_alive(gate)
