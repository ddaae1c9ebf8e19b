"""A whole gate for tests: `lakegate up` as a user runs it, and eyes to see what landed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table.metadata import TableMetadataV2
from tests.testing.duckdb_reader import duckdb_reader

START_SECONDS = 60
STOP_SECONDS = 60
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class RunningGate:
    """A gate that is up, under a home of its own."""

    process: subprocess.Popen[str]
    home: Path
    http_addr: str
    grpc_addr: str
    token: str

    @property
    def url(self) -> str:
        return f"http://{self.http_addr}"

    def ingest(
        self, table: str, body: bytes | str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Post rows the way the REST document does."""
        return httpx.post(
            f"{self.url}/v1/ingest",
            content=body,
            headers={"X-Table": table, "Content-Type": NDJSON, **(headers or {})},
            timeout=60,
        )

    def push(self, events: object, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post query events the way the Ryft document does."""
        return httpx.post(
            f"{self.url}/ingest/push/queries",
            json=events,
            headers={"X-Ryft-Token": self.token, **(headers or {})},
            timeout=60,
        )

    def catalog(self) -> SqlCatalog:
        """Open the catalog as any other PyIceberg program would."""
        return SqlCatalog("lakegate", uri=f"sqlite:///{self.home / 'catalog.db'}")

    def table(self, table: str, database: str = "default") -> pa.Table:
        """Read a table with DuckDB's Iceberg reader."""
        return read_with_duckdb(self.metadata_location(table, database))

    def rows(self, table: str, database: str = "default") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table(table, database).to_pylist()
        return rows

    def metadata_location(self, table: str, database: str = "default") -> str:
        catalog = self.catalog()
        try:
            return catalog.load_table((database, table)).metadata_location
        finally:
            catalog.close()

    def snapshots(self, table: str, database: str = "default") -> int:
        """Count the commits that the table has ever had."""
        catalog = self.catalog()
        try:
            metadata = catalog.load_table((database, table)).metadata
            assert isinstance(metadata, TableMetadataV2)
            return metadata.last_sequence_number
        finally:
            catalog.close()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop the gate with a signal and give its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


def lakegate(
    home: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command, until it ends, as a user does."""
    return subprocess.run(
        [Path(sys.executable).with_name("lakegate"), *arguments],
        env={**os.environ, "LAKEGATE_HOME": str(home), **(settings or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read_with_duckdb(metadata_location: str) -> pa.Table:
    with duckdb_reader() as reader:
        reader.execute("SET TimeZone = 'UTC'")
        return reader.execute("SELECT * FROM iceberg_scan(?)", [metadata_location]).to_arrow_table()


@contextmanager
def running_gate(home: Path, settings: Mapping[str, str] | None = None) -> Iterator[RunningGate]:
    """Run `lakegate up` on free ports until the end of the block, also when it fails."""
    environment = {
        **os.environ,
        "LAKEGATE_HOME": str(home),
        "LAKEGATE_HTTP_ADDR": "127.0.0.1:0",
        "LAKEGATE_GRPC_ADDR": "127.0.0.1:0",
        "LAKEGATE_LOG_LEVEL": "WARNING",
        **(settings or {}),
    }
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        (home / "log").open("w") as log,
        subprocess.Popen(
            [Path(sys.executable).with_name("lakegate"), "up"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield _when_up(process, home)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                finally:
                    process.kill()


def _when_up(process: "subprocess.Popen[str]", home: Path) -> RunningGate:
    """Read the banner that says where the gate listens."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            break
    else:
        raise AssertionError(f"lakegate up ended: {said}{(home / 'log').read_text()}")
    return RunningGate(
        process=process,
        home=home,
        http_addr=_banner_value(said, r"REST and gRPC\s+https?://(\S+)"),
        grpc_addr=_banner_value(said, r"gRPC, direct\s+(\S+)"),
        token=_banner_value(said, r"token\s+(\S+)"),
    )


def _banner_value(banner: str, pattern: str) -> str:
    found = re.search(pattern, banner)
    assert found, banner
    return found.group(1)
