"""Tokens in the ledger's database, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.testing.postgres import running_postgres

from lakegate.auth.store import TokenStore
from lakegate.auth.tokens import Permission, digest_of, new_secret
from lakegate.errors import ErrorCode, LakegateError


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('tokens') / 'ledger.db'}"
        return
    with running_postgres() as postgres:
        yield postgres


def test_a_store_keeps_all_but_the_secret(url: str) -> None:
    store = TokenStore(url)
    secret, token = store.create("sales", [Permission.READ, Permission.INGEST], "the shop")
    [stored] = [each for each in store.tokens() if each.token.id == token.id]
    assert (stored.token, stored.description, stored.revoked_at) == (token, "the shop", None)
    assert stored.token.is_of(digest_of(secret))
    assert not stored.token.is_of(digest_of(new_secret()))
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM lakegate_tokens")).all()
    engine.dispose()
    assert secret not in str(rows)
    store.close()


def test_a_token_is_revoked_once_and_stays_listed(url: str) -> None:
    store, another_server = TokenStore(url), TokenStore(url)
    _, token = store.create("sales", [Permission.INGEST])
    times = []
    for _ in range(2):
        assert another_server.revoke(token.id)
        times += [each.revoked_at for each in store.tokens() if each.token.id == token.id]
    assert times[0] is not None
    assert times[0] == times[1]
    assert not store.revoke("nobody")
    store.close()
    another_server.close()


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "ledger.db"
    folder.mkdir()
    with pytest.raises(LakegateError) as refusal:
        TokenStore(f"sqlite:///{folder}").tokens()
    assert refusal.value.code is ErrorCode.UNAVAILABLE
