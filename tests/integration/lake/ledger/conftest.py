from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.testing.ledger_entries import LEASE_SECONDS
from tests.testing.postgres import new_database, running_postgres

from lakegate.lake.ledger.ledger import Ledger

_databases = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """A new database."""
    return new_database(postgres, f"ledger_{next(_databases)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url, LEASE_SECONDS)
    yield ledger
    ledger.close()


@pytest.fixture
def hasty(url: str) -> Iterator[Ledger]:
    """The same ledger, for a server whose leases end at once."""
    ledger = Ledger(url, 0)
    yield ledger
    ledger.close()
