"""Trino works on Lakegate's tables while rows come in."""

from pathlib import Path

import pytest
from tests.testing.engines.beside_ingest import TABLE, Dialect, assert_engine_works_beside_ingest
from tests.testing.engines.trino_server import running_trino
from tests.testing.postgres import running_postgres
from tests.testing.servers.cluster import SHARED, on_postgres, running_cluster

# No new columns: Trino fails a DELETE whose table gets one meanwhile, whoever adds it.
DIALECT = Dialect("varchar", compact=f"ALTER TABLE {TABLE} EXECUTE optimize", column_every=0)


async def test_trino_deletes_compacts_and_alters_beside_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_postgres() as url:
        settings = on_postgres(monkeypatch, url, tmp_path)
        database = url.replace("/postgres?", "/catalog?")
        with (
            running_cluster(tmp_path, settings) as cluster,  # which makes the catalog
            running_trino(tmp_path, database, SHARED, tmp_path) as trino,
        ):
            await assert_engine_works_beside_ingest(trino, DIALECT, cluster)
