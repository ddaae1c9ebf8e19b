"""The schema of the ledger, on SQLite and PostgreSQL: created by one server, and migrated."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from tests.testing.ledger_entries import (
    LEASE_SECONDS,
    TABLE,
    claims,
    key,
)

from lakegate.database.engine import open_engine
from lakegate.lake.failures import LedgerUnavailableError
from lakegate.lake.ledger import schema
from lakegate.lake.ledger.ledger import Ledger


def test_servers_that_start_together_create_one_schema(url: str) -> None:
    servers = [Ledger(url, LEASE_SECONDS) for _ in range(8)]
    barrier = threading.Barrier(len(servers))

    def first_use(server: Ledger) -> None:
        barrier.wait()
        server.claim(TABLE, "c", claims(key(str(id(server)))))

    with ThreadPoolExecutor(len(servers)) as threads:
        list(threads.map(first_use, servers))
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.execute(schema.VERSION.select()).scalars().all() == [
            len(schema.MIGRATIONS)
        ]
    engine.dispose()
    for server in servers:
        server.close()


def test_the_created_schema_is_the_one_in_use(url: str, ledger: Ledger) -> None:
    ledger.look_up(TABLE, [])
    engine = open_engine(url)
    made = sa.inspect(engine).get_columns(schema.ENTRIES.name)
    engine.dispose()
    assert {(c["name"], c["nullable"]) for c in made} == {
        (c.name, c.nullable) for c in schema.ENTRIES.columns
    }


def test_an_older_ledger_is_migrated_with_its_entries(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Ledger(url, LEASE_SECONDS)
    old.claim(TABLE, "c", claims(key("k")))
    old.close()
    addition = "ALTER TABLE lakegate_ledger ADD COLUMN note TEXT"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (addition,)))
    new = Ledger(url, LEASE_SECONDS)
    assert list(new.look_up(TABLE, ["key/k"])) == ["key/k"]
    new.close()
    engine = open_engine(url)
    columns = {column["name"] for column in sa.inspect(engine).get_columns(schema.ENTRIES.name)}
    engine.dispose()
    assert "note" in columns


def test_a_ledger_of_a_newer_version_is_not_changed(url: str, ledger: Ledger) -> None:
    ledger.look_up(TABLE, [])
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(schema.VERSION.update().values(version=99))
    engine.dispose()
    late = Ledger(url, LEASE_SECONDS)
    with pytest.raises(LedgerUnavailableError, match="version 99"):
        late.claim(TABLE, "c", claims(key("k")))
    late.close()
