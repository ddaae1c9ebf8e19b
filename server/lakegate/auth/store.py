"""Stores tokens in the ledger's database. All methods block."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    Row,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from lakegate.auth.tokens import Permission, Token, digest_of, new_secret, parse_permissions
from lakegate.database.engine import exclusive_transaction, now_ms, open_engine, transaction
from lakegate.errors import ErrorCode, LakegateError

_METADATA = MetaData()

TOKENS = Table(
    "lakegate_tokens",
    _METADATA,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("permissions", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token in the store, revoked or not."""

    token: Token
    description: str
    created_at: datetime
    revoked_at: datetime | None


class TokenStore:
    """The tokens in one database. Methods raise `LakegateError` (unavailable)."""

    def __init__(self, url: str) -> None:
        """Use the database at the SQLAlchemy URL `url`. Does not connect yet."""
        self._engine = open_engine(url)
        self._ready = False

    def create(
        self, database: str, permissions: Iterable[Permission], description: str = ""
    ) -> tuple[str, Token]:
        """Create a token. Return its secret, which is not stored, and the token."""
        secret = new_secret()
        token = Token(digest_of(secret), database, frozenset(permissions))
        with self._transaction(writes=True) as connection:
            connection.execute(
                insert(TOKENS).values(
                    id=token.id,
                    digest=token.digest,
                    database=database,
                    permissions=",".join(sorted(token.permissions)),
                    description=description,
                    made_ms=now_ms(),
                )
            )
        return secret, token

    def tokens(self) -> Sequence[StoredToken]:
        """Return all tokens that were ever created, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(select(TOKENS).order_by(TOKENS.c.made_ms, TOKENS.c.id))
            return [_stored(row) for row in rows]

    def revoke(self, token_id: str) -> bool:
        """Revoke a token. Return whether it exists."""
        with self._transaction(writes=True) as connection:
            return bool(
                connection.execute(
                    update(TOKENS)
                    .where(TOKENS.c.id == token_id)
                    .values(revoked_ms=func.coalesce(TOKENS.c.revoked_ms, now_ms()))
                ).rowcount
            )

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        try:
            self._create_table()
            with transaction(self._engine, writes=writes) as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LakegateError(
                ErrorCode.UNAVAILABLE, "the tokens cannot be read", retry_after_seconds=1
            ) from error

    def _create_table(self) -> None:
        if self._ready:
            return
        with exclusive_transaction(self._engine) as connection:
            _METADATA.create_all(connection)
        self._ready = True


def _stored(row: Row[tuple[object, ...]]) -> StoredToken:
    return StoredToken(
        Token(row.digest, row.database, parse_permissions(row.permissions)),
        row.description,
        _time(row.made_ms),
        None if row.revoked_ms is None else _time(row.revoked_ms),
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
