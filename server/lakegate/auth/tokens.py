"""A token: a secret that opens one database for some things. Only its hash is ever kept."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lakegate.errors import ErrorCode, LakegateError

# What secret scanners look for: lakegate_[0-9A-Za-z]{43}.
PREFIX = "lakegate_"
_ALPHABET = string.digits + string.ascii_letters
_SECRET_CHARACTERS = 43  # 256 bits
_ID_CHARACTERS = 12

# A secret that people bring along; shorter ones could be guessed from their hash.
_SECRET = re.compile(r"[!-~]{32,512}")
DATABASE = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Permission(StrEnum):
    """What a token may be for."""

    INGEST = "ingest"  # write rows; tables and columns are made as rows need them
    PROVISION = "provision"  # make and widen tables
    READ = "read"  # describe and list tables


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: all but its secret."""

    digest: str
    database: str
    permissions: frozenset[Permission]

    @property
    def id(self) -> str:
        """What people and logs call the token."""
        return id_of(self.digest)

    def is_of(self, digest: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.digest, digest)


def new_secret() -> str:
    """Make a secret that nobody can guess."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARACTERS))


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hex. It has 256 bits of chance, so it needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def id_of(digest: str) -> str:
    """Return the id of the token with this digest; it says nothing about the secret."""
    return digest[:_ID_CHARACTERS]


def parse_tokens(text: str, source: str) -> Iterator[Token]:
    """Read tokens, one a line: secret, database, permissions with commas between.

    Blank lines and those that begin with `#` are skipped. Raises `LakegateError`
    (invalid_argument) that names the line of `source`, and no secret.
    """
    known: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                yield _parse(line.split(), known)
            except ValueError as error:
                raise LakegateError(
                    ErrorCode.INVALID_ARGUMENT, f"line {number} of {source}: {error}"
                ) from None


def parse_permissions(words: str) -> frozenset[Permission]:
    """Read permissions with commas between. Raises `ValueError`."""
    try:
        return frozenset(Permission(word) for word in words.split(","))
    except ValueError:
        raise ValueError(f"permissions are {', '.join(Permission)}") from None


def _parse(words: list[str], known: dict[str, Token]) -> Token:
    if len(words) != 3:  # noqa: PLR2004 - as the message says
        raise ValueError("it must be: secret database permission[,permission…]")
    secret, database, permissions = words
    if not _SECRET.fullmatch(secret):
        raise ValueError("a secret must have 32 to 512 characters of ASCII")
    if not DATABASE.fullmatch(database):
        raise ValueError("the database is not a name: [a-z_][a-z0-9_]{0,62}")
    token = Token(digest_of(secret), database, parse_permissions(permissions))
    if known.setdefault(token.id, token) != token:
        raise ValueError("the secret is there before, for something else")
    return token
