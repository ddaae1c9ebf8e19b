"""Three servers write to one table through one PostgreSQL."""

from collections import Counter
from pathlib import Path

import pytest
from tests.testing.postgres import running_postgres
from tests.testing.reading import duckdb_rows, labels
from tests.testing.servers.writer import Work, acknowledged, refused, start

from lakegate.lake.catalog.open import open_catalog
from lakegate.settings import Settings


def test_every_row_is_there_once_and_no_request_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = tmp_path / "warehouse"
    warehouse.mkdir()
    with running_postgres() as url:
        properties = {"TYPE": "sql", "URI": url, "WAREHOUSE": warehouse.as_uri()}
        environment = {
            f"PYICEBERG_CATALOG__SHARED__{name}": properties[name] for name in properties
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        works = [
            Work(
                Settings(home=tmp_path / str(server), catalog="shared"),
                tmp_path / f"{server}.log",
                prefix=str(server),
                senders=16,
                batches=42,
                environment=environment,
            )
            for server in range(3)
        ]
        for work in works:
            work.settings.home.mkdir()
        processes = [start(work) for work in works]
        for process in processes:
            process.join(120)
            assert process.exitcode == 0
        assert not [error for work in works for error in refused(work)]
        acks = [label for work in works for label in acknowledged(work)]
        assert len(acks) == 3 * 16 * 42  # 2,016 requests
        with open_catalog("shared", tmp_path) as catalog:
            assert Counter(labels(catalog)) == Counter(duckdb_rows(catalog)) == Counter(acks)
