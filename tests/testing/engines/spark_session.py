"""A Spark session on the tables of a REST catalog."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.testing.engines.beside_ingest import ConflictError, StatementError
from tests.testing.engines.java import (
    PROGRAMS,
    classpath,
    free_port,
    java,
    running,
    wait_until_ready,
)

STATEMENT_SECONDS = 120
# An attempt at a commit that another one was faster than, after all of Iceberg's own attempts.
CONFLICT = "CommitFailedException"
# What Spark opens for itself where its own scripts start it.
OPENED = (
    "java.base/java.lang", "java.base/java.lang.invoke", "java.base/java.lang.reflect",
    "java.base/java.io", "java.base/java.net", "java.base/java.nio", "java.base/java.util",
    "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref", "java.base/sun.nio.ch", "java.base/sun.nio.cs",
    "java.base/sun.security.action", "java.base/sun.util.calendar",
)  # fmt: skip


@dataclass(frozen=True)
class Spark:
    """Runs statements, one at a time."""

    uri: str

    def execute(self, sql: str) -> list[list[Any]]:
        """Run a statement; give its rows, without the cells that are null."""
        answer = httpx.post(self.uri, content=sql, timeout=STATEMENT_SECONDS)
        if answer.is_error:
            kind = ConflictError if CONFLICT in answer.text else StatementError
            raise kind(f"{sql}: {answer.text}")
        return [list(row.values()) for row in answer.json()]


@contextmanager
def running_spark(folder: Path, rest_uri: str) -> Iterator[Spark]:
    """Run Spark until the end of the block; its catalog `lake` is the one at `rest_uri`."""
    port, log = free_port(), folder / "spark.log"
    session = {
        "spark.master": "local[2]",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "spark-warehouse"),
        "spark.sql.extensions": (
            "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
        ),
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.type": "rest",
        "spark.sql.catalog.lake.uri": rest_uri,
        # A statement sees what was committed before it.
        "spark.sql.catalog.lake.cache-enabled": "false",
        # It wants a cached table, so that both its scans are of one snapshot.
        "spark.sql.optimizer.runtime.rowLevelOperationGroupFilter.enabled": "false",
    }
    command = (
        # Newer ones lack what Spark's Hadoop needs; the source is run as it is.
        java(17, below=24), "-Xmx2g",
        *(f"--add-opens={each}=ALL-UNNAMED" for each in OPENED),
        *(f"-D{name}={value}" for name, value in session.items()),
        "-cp", classpath("spark"), str(PROGRAMS / "spark/Statements.java"), str(port),
    )  # fmt: skip
    spark = Spark(f"http://127.0.0.1:{port}/")
    with running(command, log) as process:
        wait_until_ready(process, log, lambda: spark.execute("SELECT 1") == [[1]])
        yield spark
