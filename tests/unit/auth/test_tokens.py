"""Tokens: hashes, the format of token files, the store."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.testing.postgres import running_postgres

from lakegate.auth.store import TokenStore
from lakegate.auth.tokens import (
    Permission,
    Token,
    digest_of,
    new_secret,
    parse_tokens,
)
from lakegate.errors import ErrorCode, LakegateError

SECRET = "s3cret-" * 5


def test_secrets_have_a_form_that_scanners_can_find() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(re.fullmatch(r"lakegate_[0-9A-Za-z]{43}", secret) for secret in secrets)


def test_tokens_are_read_line_by_line() -> None:
    text = f"# ours\n\n{SECRET} sales ingest,read\n  {SECRET}x\tshop   provision  \n"
    assert list(parse_tokens(text, "the file")) == [
        Token(digest_of(SECRET), "sales", frozenset({Permission.INGEST, Permission.READ})),
        Token(digest_of(f"{SECRET}x"), "shop", frozenset({Permission.PROVISION})),
    ]


@pytest.mark.parametrize(
    "line",
    [
        SECRET,
        f"{SECRET} sales",
        f"{SECRET} sales ingest read",
        f"{SECRET} Sales ingest",
        f"{SECRET} sales write",
        f"{SECRET} sales ingest,",
        "short sales ingest",
        f"{SECRET}\x00 sales ingest",
    ],
)
def test_an_invalid_line_is_refused_with_its_number_and_without_its_secret(line: str) -> None:
    with pytest.raises(LakegateError, match="line 2 of the file: ") as refusal:
        list(parse_tokens(f"\n{line}", "the file"))
    assert refusal.value.code is ErrorCode.INVALID_ARGUMENT
    assert SECRET not in refusal.value.message


def test_a_secret_cannot_be_given_with_two_meanings() -> None:
    line = f"{SECRET} sales ingest"
    assert len(set(parse_tokens(f"{line}\n{line}", "the file"))) == 1
    with pytest.raises(LakegateError, match="line 2 of the file: the same secret"):
        list(parse_tokens(f"{line}\n{SECRET} shop ingest", "the file"))


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
