"""Tokens: secrets with permissions for one database. Only their hashes are stored."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lakegate.errors import ErrorCode, LakegateError

# Secret scanners can search for lakegate_[0-9A-Za-z]{43}.
PREFIX = "lakegate_"
_ALPHABET = string.digits + string.ascii_letters
_SECRET_CHARACTERS = 43  # 256 bits
_ID_CHARACTERS = 12

# A secret that an operator chose. A shorter one could be found from its hash.
_SECRET = re.compile(r"[!-~]{32,512}")
DATABASE = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Permission(StrEnum):
    """What a token permits."""

    INGEST = "ingest"  # write rows, and create the tables and columns that they need
    PROVISION = "provision"  # create and widen tables
    READ = "read"  # describe and list tables


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    digest: str
    database: str
    permissions: frozenset[Permission]

    @property
    def id(self) -> str:
        """The id of the token in logs and commands."""
        return id_of(self.digest)

    def is_of(self, digest: str) -> bool:
        """Whether the token has this digest. Compares in constant time."""
        return hmac.compare_digest(self.digest, digest)


def new_secret() -> str:
    """Return a new random secret of 256 bits."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARACTERS))


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hex. A secret of 256 random bits needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def id_of(digest: str) -> str:
    """Return the id of the token with this digest. It does not reveal the secret."""
    return digest[:_ID_CHARACTERS]


def parse_tokens(text: str, source: str) -> Iterator[Token]:
    """Parse tokens, one a line: secret, database, comma-separated permissions.

    Blank lines and lines that start with `#` are skipped. Raises `LakegateError`
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
    """Parse comma-separated permissions. Raises `ValueError`."""
    try:
        return frozenset(Permission(word) for word in words.split(","))
    except ValueError:
        raise ValueError(f"permissions are {', '.join(Permission)}") from None


def _parse(words: list[str], known: dict[str, Token]) -> Token:
    if len(words) != 3:  # noqa: PLR2004 - as the message says
        raise ValueError("it must be: secret database permission[,permission…]")
    secret, database, permissions = words
    if not _SECRET.fullmatch(secret):
        raise ValueError("a secret must have 32 to 512 ASCII characters")
    if not DATABASE.fullmatch(database):
        raise ValueError("the name of the database must be [a-z_][a-z0-9_]{0,62}")
    token = Token(digest_of(secret), database, parse_permissions(permissions))
    if known.setdefault(token.id, token) != token:
        raise ValueError("the same secret has another database or other permissions above")
    return token
