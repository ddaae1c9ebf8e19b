"""Servers in separate processes, which start quickly and can be killed."""

import asyncio
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lakegate import gateway
from lakegate.settings import Settings

START_SECONDS = 60


@dataclass
class Server:
    """A `lakegate serve` that can be killed and started again."""

    home: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    address: str = ""
    process: ForkServerProcess | None = None

    def start(self) -> None:
        """Start it and wait until it listens, at another address each time."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        here, there = context.Pipe()
        environment = {"LAKEGATE_LOG_LEVEL": "ERROR", **_environment()}
        self.process = context.Process(
            target=_serve, args=(there, self.home, dict(self.settings), environment)
        )
        self.process.start()
        there.close()
        if not here.poll(START_SECONDS):
            raise TimeoutError("the server does not start")
        self.address = here.recv()
        here.close()

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.join()

    def terminate(self) -> None:
        """End it with SIGTERM and wait until it has drained."""
        assert self.process is not None
        self.process.terminate()
        self.process.join()


def _environment() -> dict[str, str]:
    """Return the environment that the fork server, started earlier, may lack."""
    return {name: value for name, value in os.environ.items() if name.startswith("PYICEBERG_")}


def _serve(
    ready: Connection, home: Path, settings: dict[str, object], environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    everything = {"grpc_addr": "127.0.0.1:0", "maintenance_interval_seconds": 0, **settings}
    asyncio.run(gateway.serve(Settings(home=home, **everything), ready.send))  # type: ignore[arg-type] # of all kinds
