"""A Trino server on the tables of a catalog in PostgreSQL."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import make_url
from tests.testing.engines.beside_ingest import ConflictError, StatementError
from tests.testing.engines.java import BUILD, artifacts, free_port, java, running, wait_until_ready
from tests.testing.engines.relay import relay

USER = {"X-Trino-User": "test", "X-Trino-Catalog": "lake", "X-Trino-Schema": "default"}
STATEMENT_SECONDS = 120
# Trino tries a change of the schema once.
CONFLICT = "Failed to update table due to concurrent updates"


@dataclass(frozen=True)
class Trino:
    """Runs statements over Trino's HTTP API."""

    uri: str

    def execute(self, sql: str) -> list[list[Any]]:
        """Run a statement to its end; give its rows. Raises `StatementError`."""
        rows: list[list[Any]] = []
        with httpx.Client(headers=USER, timeout=STATEMENT_SECONDS) as client:
            answer = client.post(f"{self.uri}/v1/statement", content=sql).raise_for_status().json()
            while True:
                if "error" in answer:
                    raise _error(sql, answer["error"]["message"])
                rows += answer.get("data", [])
                if "nextUri" not in answer:
                    return rows
                answer = client.get(answer["nextUri"]).raise_for_status().json()


def _error(sql: str, message: str) -> StatementError:
    kind = ConflictError if CONFLICT in message else StatementError
    return kind(f"{sql}: {message}")


@contextmanager
def running_trino(
    folder: Path, database_url: str, catalog_name: str, warehouse: Path
) -> Iterator[Trino]:
    """Run Trino until the end of the block; its catalog `lake` is that of the other arguments."""
    program = java(24)
    home, port, log = _unpacked(), free_port(), folder / "trino.log"
    url = make_url(database_url)
    with relay(Path(str(url.query["host"]), ".s.PGSQL.5432")) as postgres_port:
        catalog = {
            "connector.name": "iceberg",
            "iceberg.catalog.type": "jdbc",
            "iceberg.jdbc-catalog.catalog-name": catalog_name,
            "iceberg.jdbc-catalog.driver-class": "org.postgresql.Driver",
            "iceberg.jdbc-catalog.connection-url": (
                f"jdbc:postgresql://127.0.0.1:{postgres_port}/{url.database}"
            ),
            "iceberg.jdbc-catalog.connection-user": str(url.username),
            "iceberg.jdbc-catalog.default-warehouse-dir": warehouse.as_uri(),
            "fs.hadoop.enabled": "true",
        }
        _write(folder / "catalogs/lake.properties", catalog)
        server = {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": str(port),
            "discovery.uri": f"http://127.0.0.1:{port}",
            "http-server.log.enabled": "false",
            "plugin.dir": str(_plugins(folder, home)),
            "catalog.config-dir": str(folder / "catalogs"),
        }
        _write(folder / "config.properties", server)
        command = (
            program, "-Xmx2g", "-XX:+ExitOnOutOfMemoryError", "--add-modules=jdk.incubator.vector",
            "--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED",
            "-Djdk.attach.allowAttachSelf=true",
            "-Dnode.environment=test", f"-Dnode.data-dir={folder / 'trino-data'}",
            f"-Dconfig={folder / 'config.properties'}",
            "-cp", f"{home / 'lib'}/*", "io.trino.server.TrinoServer",
        )  # fmt: skip
        uri = f"http://127.0.0.1:{port}"
        with running(command, log) as process:
            trino = Trino(uri)
            wait_until_ready(process, log, lambda: _has_nodes(trino))
            yield trino


def _has_nodes(trino: Trino) -> bool:
    """Whether statements on tables run, which is some time after others do."""
    try:
        trino.execute("CREATE SCHEMA IF NOT EXISTS ready")
        trino.execute("CREATE TABLE IF NOT EXISTS ready.ready AS SELECT true AS ready")
        trino.execute("SELECT * FROM ready.ready")
    except (StatementError, httpx.HTTPStatusError):
        return False
    return True


def _write(path: Path, properties: dict[str, str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def _plugins(folder: Path, home: Path) -> Path:
    """Return a folder with the one plugin that is needed: each of the others takes seconds."""
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "iceberg").symlink_to(home / "plugin/iceberg")
    return plugins


def _unpacked() -> Path:
    """Unpack the distribution where that has not been done."""
    [archive] = artifacts("trino")
    home = BUILD / "trino" / archive.stem
    done = home / ".unpacked"
    if not done.exists():
        home.mkdir(exist_ok=True)
        subprocess.run(["tar", "-xzf", archive, "-C", home, "--strip-components", "1"], check=True)
        done.touch()
    return home
