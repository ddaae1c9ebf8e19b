"""Who is calling: the token of a call, and the database it belongs to."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from lakegate.errors import ErrorCode, LakegateError

TOKEN_KEY = "x-ryft-token"  # noqa: S105 - the name of the header


@dataclass(frozen=True, slots=True)
class Tokens:
    """The one token of development, which belongs to one database."""

    token: str
    database: str

    def database_of(self, headers: Mapping[str, str]) -> str:
        """Give the database that the token of a call belongs to."""
        token = headers.get(TOKEN_KEY, "")
        if not token:
            raise LakegateError(ErrorCode.UNAUTHENTICATED, "the header X-Ryft-Token is missing")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise LakegateError(ErrorCode.UNAUTHENTICATED, "the token is not known")
        return self.database
