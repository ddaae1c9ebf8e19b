"""The tokens that hold now: read from all their sources together, and again every few seconds.

So a wrong token costs no query of its own, however many are tried.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from lakegate.auth.store import TokenStore
from lakegate.auth.tokens import Token, digest_of, id_of, parse_tokens
from lakegate.errors import ErrorCode, LakegateError

# The least time between two readings, whatever is tried.
_PAUSE_SECONDS = 0.05

_log = logging.getLogger(__name__)

# Returns the valid tokens, and whether a token was ever given out. Blocks.
ReadTokens: TypeAlias = Callable[[], tuple[Sequence[Token], bool]]


@dataclass(frozen=True, slots=True)
class Keys:
    """The tokens that hold, by id.

    `locked`: whether a token was ever given out, even if it was revoked since.
    `begun`: when the reading began, on the monotonic clock.
    """

    tokens: Mapping[str, Token]
    locked: bool
    begun: float


class Keyring:
    """Knows the tokens of `read`, each reading for at most `max_age_seconds`."""

    def __init__(self, read: ReadTokens, max_age: float) -> None:
        """Ask `read`, which may block, for the tokens that hold and whether the gate is locked."""
        self._read = read
        self._max_age = max_age
        self._keys: Keys | None = None
        self._reading: asyncio.Task[None] | None = None
        # Its own, so that nothing else that blocks holds up who comes in.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keyring")

    async def keys(self) -> Keys:
        """Return the tokens as they were at most `max_age` ago. Raises `LakegateError`."""
        return await self._begun_after(time.monotonic() - self._max_age)

    async def find(self, secret: str) -> Token:
        """Return the token of a secret. Raises `LakegateError` (unauthenticated, unavailable).

        A token is known as soon as it is made: an unknown one is looked for in a
        reading that begins now.
        """
        asked = time.monotonic()
        digest = digest_of(secret)
        token = (await self.keys()).tokens.get(id_of(digest))
        if token is None:
            token = (await self._begun_after(asked)).tokens.get(id_of(digest))
        if token is None or not token.is_of(digest):
            raise LakegateError(ErrorCode.UNAUTHENTICATED, "the token is not known")
        return token

    async def _begun_after(self, moment: float) -> Keys:
        while self._keys is None or self._keys.begun < moment:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_again())
            # Shared: none of those who wait may cancel it for the others.
            await asyncio.shield(self._reading)
        return self._keys

    async def _read_again(self) -> None:
        try:
            if self._keys is not None:
                pause = self._keys.begun + _PAUSE_SECONDS - time.monotonic()
                await asyncio.sleep(max(0.0, pause))
            begun = time.monotonic()
            try:
                loop = asyncio.get_running_loop()
                tokens, locked = await loop.run_in_executor(self._thread, self._read)
            except LakegateError as error:
                if self._keys is None:
                    raise
                _log.warning("the tokens of before go on to hold: %s", error)
                self._keys = replace(self._keys, begun=begun)
            else:
                self._keys = Keys({token.id: token for token in tokens}, locked, begun)
        finally:
            self._reading = None


def reader(
    store: TokenStore, tokens_file: Path | None, tokens: str, development: Token | None
) -> ReadTokens:
    """Return a function that reads the tokens of the store, of a file and of a text.

    The `development` token is among them only until the first other token is given out: it never
    permits more than a call without a token.
    """
    file = _TokensFile(tokens_file) if tokens_file is not None else None

    def read() -> tuple[Sequence[Token], bool]:
        given = list(parse_tokens(tokens, "LAKEGATE_TOKENS"))
        if file is not None:
            given += file.read()
        stored = store.tokens()
        given += [each.token for each in stored if each.revoked_at is None]
        locked = bool(given or stored)
        return ([development] if development and not locked else given), locked

    return read


class _TokensFile:
    """A file of tokens. Where it is bad for a while, its former tokens hold, and no others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens: Sequence[Token] | None = None

    def read(self) -> Sequence[Token]:
        """Return its tokens. Raises `LakegateError` where they could never be read."""
        try:
            self._tokens = list(parse_tokens(self._text(), str(self._path)))
        except LakegateError as error:
            if self._tokens is None:
                raise
            _log.warning("the tokens of before go on to hold: %s", error)
        return self._tokens

    def _text(self) -> str:
        try:
            return self._path.read_text(errors="replace")
        except OSError as error:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, f"cannot read {self._path}: {error.strerror}"
            ) from error
