"""Spark works on Lakegate's tables while rows come in."""

from pathlib import Path

import pytest
from tests.engines.beside_ingest import Dialect, assert_engine_works_beside_ingest
from tests.engines.rest_catalog import running_rest_catalog
from tests.engines.spark_session import running_spark
from tests.faults.cluster import running_cluster, shared_catalog

DIALECT = Dialect("string", compact="CALL lake.system.rewrite_data_files('default.orders')")


async def test_spark_deletes_compacts_and_alters_beside_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_rest_catalog(tmp_path) as uri:
        settings = shared_catalog(monkeypatch, {"TYPE": "rest", "URI": uri})
        with running_cluster(tmp_path, settings) as cluster, running_spark(tmp_path, uri) as spark:
            await assert_engine_works_beside_ingest(spark, DIALECT, cluster)
