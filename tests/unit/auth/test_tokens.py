"""Tokens: hashes, the format of token files, the store."""

import re

import pytest

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
