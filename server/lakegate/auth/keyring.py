"""A cache of the valid tokens, read from all sources together, and again every few seconds.

So a wrong token costs no query of its own.
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

# The minimum time between two readings.
_PAUSE_SECONDS = 0.05

_log = logging.getLogger(__name__)

# Returns the valid tokens, and whether calls need one. Blocks.
ReadTokens: TypeAlias = Callable[[], tuple[Sequence[Token], bool]]


@dataclass(frozen=True, slots=True)
class Keys:
    """The valid tokens, by id.

    `required`: whether calls need a token: one was created at some time, even if it was revoked.
    `started`: when the reading started, on the monotonic clock.
    """

    tokens: Mapping[str, Token]
    required: bool
    started: float


class Keyring:
    """Caches the tokens that `read` returns."""

    def __init__(self, read: ReadTokens, max_age: float) -> None:
        """Use `read`, which may block, again after `max_age` seconds."""
        self._read = read
        self._max_age = max_age
        self._keys: Keys | None = None
        self._reading: asyncio.Task[None] | None = None
        # A thread of its own, so that other blocking calls do not delay the check of tokens.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keyring")

    async def keys(self) -> Keys:
        """Return the tokens, read at most `max_age` seconds ago. Raises `LakegateError`."""
        return await self._started_after(time.monotonic() - self._max_age)

    async def find(self, secret: str) -> Token:
        """Return the token of a secret. Raises `LakegateError` (unauthenticated, unavailable).

        A new token is valid at once: if the cache does not have it, the tokens are read again.
        """
        called = time.monotonic()
        digest = digest_of(secret)
        token = (await self.keys()).tokens.get(id_of(digest))
        if token is None:
            token = (await self._started_after(called)).tokens.get(id_of(digest))
        if token is None or not token.is_of(digest):
            raise LakegateError(ErrorCode.UNAUTHENTICATED, "the token is not known")
        return token

    async def _started_after(self, moment: float) -> Keys:
        while self._keys is None or self._keys.started < moment:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_again())
            # Shared: a caller that is cancelled must not cancel it for the others.
            await asyncio.shield(self._reading)
        return self._keys

    async def _read_again(self) -> None:
        try:
            if self._keys is not None:
                pause = self._keys.started + _PAUSE_SECONDS - time.monotonic()
                await asyncio.sleep(max(0.0, pause))
            started = time.monotonic()
            try:
                loop = asyncio.get_running_loop()
                tokens, required = await loop.run_in_executor(self._thread, self._read)
            except LakegateError as error:
                if self._keys is None:
                    raise
                _log.warning("reading tokens failed, the previous ones stay valid: %s", error)
                self._keys = replace(self._keys, started=started)
            else:
                self._keys = Keys({token.id: token for token in tokens}, required, started)
        finally:
            self._reading = None


def reader(
    store: TokenStore, tokens_file: Path | None, tokens: str, development: Token | None
) -> ReadTokens:
    """Return a function that reads the tokens of the store, a file and a text.

    The `development` token is valid only while calls need no token.
    """
    file = _TokensFile(tokens_file) if tokens_file is not None else None

    def read() -> tuple[Sequence[Token], bool]:
        valid = list(parse_tokens(tokens, "LAKEGATE_TOKENS"))
        if file is not None:
            valid += file.read()
        stored = store.tokens()
        valid += [each.token for each in stored if each.revoked_at is None]
        required = bool(valid or stored)
        return ([development] if development and not required else valid), required

    return read


class _TokensFile:
    """A file of tokens. While it cannot be read, its previous tokens stay valid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens: Sequence[Token] | None = None

    def read(self) -> Sequence[Token]:
        """Return its tokens. Raises `LakegateError` if it was never read successfully."""
        try:
            self._tokens = list(parse_tokens(self._text(), str(self._path)))
        except LakegateError as error:
            if self._tokens is None:
                raise
            _log.warning("reading tokens failed, the previous ones stay valid: %s", error)
        return self._tokens

    def _text(self) -> str:
        try:
            return self._path.read_text(errors="replace")
        except OSError as error:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT, f"cannot read {self._path}: {error.strerror}"
            ) from error
