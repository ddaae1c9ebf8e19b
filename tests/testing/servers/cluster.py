"""Two servers on one catalog and one ledger."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog
from tests.testing.postgres import new_database
from tests.testing.servers.server import Server

from lakegate.lake.catalog.open import open_catalog

SHARED = "shared"


@dataclass
class Cluster:
    """Two servers, and the catalog as another program opens it."""

    servers: list[Server]
    catalog: Catalog


@contextmanager
def running_cluster(home: Path, settings: Mapping[str, object]) -> Iterator[Cluster]:
    """Run two servers until the end of the block, also when it fails."""
    with ExitStack() as stack:
        servers = [Server(home, settings) for _ in range(2)]
        for server in servers:
            server.start()
            stack.callback(server.kill)
        name = str(settings.get("catalog", "lakegate"))
        yield Cluster(servers, stack.enter_context(open_catalog(name, home)))


def shared_catalog(
    monkeypatch: pytest.MonkeyPatch, properties: Mapping[str, str]
) -> dict[str, object]:
    """Configure a catalog in the environment, as a user would; return the settings that name it."""
    for name, value in properties.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__{SHARED.upper()}__{name}", value)
    return {"catalog": SHARED}


def on_postgres(monkeypatch: pytest.MonkeyPatch, url: str, warehouse: Path) -> dict[str, object]:
    """Return the settings of servers with a catalog and a ledger on the PostgreSQL at `url`."""
    properties = {
        "TYPE": "sql",
        "URI": new_database(url, "catalog"),
        "WAREHOUSE": warehouse.as_uri(),
    }
    return {
        **shared_catalog(monkeypatch, properties),
        "ledger_url": new_database(url, "ledger"),
    }
