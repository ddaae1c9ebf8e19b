"""The keyring reads rarely, accepts new tokens at once, and survives failures of its database."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from lakegate.auth.keyring import Keyring, reader
from lakegate.auth.store import TokenStore
from lakegate.auth.tokens import Permission, Token, digest_of, new_secret
from lakegate.errors import ErrorCode, LakegateError


class Source:
    """Tokens that a test adds and removes."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.readings = 0
        self.broken = False

    def add(self) -> str:
        secret = new_secret()
        self.tokens.append(Token(digest_of(secret), "default", frozenset(Permission)))
        return secret

    def read(self) -> tuple[Sequence[Token], bool]:
        self.readings += 1
        if self.broken:
            raise LakegateError(ErrorCode.UNAVAILABLE, "the database is away")
        return list(self.tokens), bool(self.tokens)


async def unknown(keyring: Keyring, secret: str) -> ErrorCode:
    with pytest.raises(LakegateError) as refusal:
        await keyring.find(secret)
    return refusal.value.code


async def test_known_tokens_are_read_once_for_many_calls() -> None:
    source = Source()
    secret = source.add()
    keyring = Keyring(source.read, 3600)
    tokens = await asyncio.gather(*(keyring.find(secret) for _ in range(100)))
    assert {token.id for token in tokens} == {source.tokens[0].id}
    assert source.readings == 1


async def test_a_new_token_is_valid_at_once() -> None:
    source = Source()
    keyring = Keyring(source.read, 3600)
    await keyring.keys()
    secret = source.add()
    assert (await keyring.find(secret)).is_of(digest_of(secret))


async def test_a_revoked_token_is_unknown_at_the_next_reading() -> None:
    source = Source()
    keyring = Keyring(source.read, 0)
    secret = source.add()
    await keyring.find(secret)
    source.tokens.clear()
    assert await unknown(keyring, secret) is ErrorCode.UNAUTHENTICATED


async def test_a_flood_of_wrong_tokens_shares_its_readings() -> None:
    source = Source()
    source.add()
    keyring = Keyring(source.read, 3600)
    codes = await asyncio.gather(*(unknown(keyring, new_secret()) for _ in range(1000)))
    assert set(codes) == {ErrorCode.UNAUTHENTICATED}
    assert source.readings <= 3


async def test_tokens_stay_valid_while_the_database_does_not_answer() -> None:
    source = Source()
    secret = source.add()
    keyring = Keyring(source.read, 0)
    await keyring.find(secret)
    source.broken = True
    assert (await keyring.find(secret)).is_of(digest_of(secret))
    assert await unknown(keyring, new_secret()) is ErrorCode.UNAUTHENTICATED


async def test_calls_are_refused_until_the_tokens_can_be_read() -> None:
    source = Source()
    source.broken = True
    keyring = Keyring(source.read, 3600)
    assert await unknown(keyring, new_secret()) is ErrorCode.UNAVAILABLE
    source.broken = False
    secret = source.add()
    assert (await keyring.find(secret)).is_of(digest_of(secret))


@pytest.mark.parametrize("fault", ["missing", "no tokens"])
async def test_while_a_file_is_bad_its_previous_tokens_stay_valid(
    tmp_path: Path, fault: str
) -> None:
    written = new_secret()
    file = tmp_path / "tokens"
    file.write_text(f"{written} sales ingest")
    store = TokenStore(f"sqlite:///{tmp_path / 'ledger.db'}")
    secret, token = store.create("default", [Permission.INGEST])
    keyring = Keyring(reader(store, file, "", None), 0)
    await keyring.find(secret)
    if fault == "missing":
        file.unlink()
    else:
        file.write_text("neither secret nor database")
    store.revoke(token.id)
    assert await unknown(keyring, secret) is ErrorCode.UNAUTHENTICATED
    assert (await keyring.find(written)).database == "sales"
    file.write_text("")
    assert await unknown(keyring, written) is ErrorCode.UNAUTHENTICATED
    store.close()


async def test_calls_are_refused_until_the_file_can_be_read(tmp_path: Path) -> None:
    store = TokenStore(f"sqlite:///{tmp_path / 'ledger.db'}")
    keyring = Keyring(reader(store, tmp_path / "missing", "", None), 0)
    with pytest.raises(LakegateError, match="cannot read"):
        await keyring.keys()
    store.close()
