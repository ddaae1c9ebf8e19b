"""Finds out who is calling, and refuses who may not.

`RULES` has the permission that a method needs, which the contract declares, and where a call
names its database.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from lakegate.auth.keyring import Keyring
from lakegate.auth.tokens import Permission, Token, digest_of, id_of
from lakegate.concurrency.shares import Owner
from lakegate.contract import METHODS, Method
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import DEFAULT_DATABASE
from lakegate.rpc.flow.rates import Rates
from lakegate.rpc.interceptors.wrapping import Handler, WrappingInterceptor, wrapped
from lakegate.rpc.request.headers import Context, headers_of
from lakegate.rpc.request.origin import check_origin

_BEARER = "bearer "

_audit = logging.getLogger("lakegate.audit")


class Addressed(Enum):
    """Where a call names its database."""

    IN_HEADER = auto()  # X-Database
    IN_MESSAGE = auto()  # the field `database` of the request
    IN_EACH_MESSAGE = auto()  # of a stream: its servicer calls `Caller.check_again`
    IN_CHUNKS = auto()  # of a body: its servicer calls `Caller.check`
    BY_TOKEN = auto()  # the token's own, so there must be a token


@dataclass(frozen=True, slots=True)
class Rule:
    """What a method requires of its caller."""

    permission: Permission
    addressed: Addressed


# Where that is not in the message.
_ADDRESSED = {
    "IngestService/IngestBody": Addressed.IN_HEADER,
    "IngestService/IngestStream": Addressed.IN_EACH_MESSAGE,
    "QueryEventService/PushQueriesBody": Addressed.BY_TOKEN,
    "QueryEventService/PushQueries": Addressed.BY_TOKEN,
    "QueryEventService/StreamQueries": Addressed.BY_TOKEN,
    "TableService/EnsureTableBody": Addressed.IN_CHUNKS,
}


def _rule(method: Method) -> Rule | None:
    if method.permission is None:
        return None
    return Rule(method.permission, _ADDRESSED.get(method.name, Addressed.IN_MESSAGE))


RULES: Mapping[str, Rule | None] = {method.name: _rule(method) for method in METHODS}


class Caller:
    """Who is calling. Without a token: anybody, on a gate that is open to anybody."""

    def __init__(
        self,
        keyring: Keyring,
        rates: Rates,
        method: str,
        rule: Rule,
        token: Token | None,
    ) -> None:
        """Check the caller of `method` by `rule`."""
        self.token = token
        self._keyring = keyring
        self._rates = rates
        self._method = method
        self._rule = rule

    @property
    def database(self) -> str:
        """The database that the token belongs to."""
        return self.token.database if self.token else DEFAULT_DATABASE

    def check(self, database: str) -> None:
        """Raise `LakegateError` (permission_denied) if the caller may not do this there."""
        token = self.token
        if token is None:
            return
        if self._rule.permission not in token.permissions:
            held = ", ".join(sorted(token.permissions))
            needed = self._rule.permission
            self._refuse(token, f"this needs the permission {needed}; it has {held}")
        if database != token.database:
            self._refuse(token, f"it belongs to the database {token.database}")

    def check_message(self, request: Any) -> None:  # noqa: ANN401 - any message
        """Check the database that a message is for, where it names one."""
        if self._rule.addressed is Addressed.IN_MESSAGE:
            self.check(request.database or DEFAULT_DATABASE)

    async def check_again(self, database: str) -> None:
        """Check one more message of a stream, which may outlive its token."""
        keys = await self._keyring.keys()
        if self.token is None and keys.required:
            _audit.warning("refused a stream without a token at %s", self._method)
            raise LakegateError(ErrorCode.UNAUTHENTICATED, "by now this needs a token")
        if self.token is not None and self.token.id not in keys.tokens:
            _audit.warning("refused token %s at %s: revoked", self.token.id, self._method)
            raise LakegateError(ErrorCode.UNAUTHENTICATED, "the token was revoked")
        self.check(database)
        self.begin()

    def begin(self) -> None:
        """Count a request. Raises `LakegateError` (overloaded)."""
        self._rates.begin(self._id)

    def owner(self, database: str | None = None, table: str = "") -> Owner:
        """Return the owner of the memory that the caller's bodies take."""
        return (database or self.database, self._id, table)

    def sent(self, size: int) -> None:
        """Count the bytes of a request."""
        self._rates.sent(self._id, size)

    @property
    def _id(self) -> str:
        return self.token.id if self.token else ""

    def _refuse(self, token: Token, why: str) -> None:
        _audit.warning("refused token %s at %s: %s", token.id, self._method, why)
        raise LakegateError(
            ErrorCode.PERMISSION_DENIED, f"the token {token.id} may not do this: {why}"
        )


CALLER: ContextVar[Caller] = ContextVar("caller")


class AuthInterceptor(WrappingInterceptor):
    """Refuses the calls of who may not make them, by errors that `CallInterceptor` translates."""

    def __init__(self, keyring: Keyring, rates: Rates, *, open_to_anybody: bool) -> None:
        """Accept the tokens of `keyring`, each as often as `rates` allow.

        `open_to_anybody`: whether calls need no token as long as there is none.
        """
        super().__init__()
        self._keyring = keyring
        self._rates = rates
        self._open_to_anybody = open_to_anybody

    def wrap(self, handler: Handler, method: str) -> Handler:
        """Check the caller before the handler is called."""
        return wrapped(handler, method, self._answering, self._answering_stream)

    def _answering(
        self, behaviour: Callable[[Any, Context], Awaitable[Any]], method: str
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        async def answer(request: Any, context: Context) -> Any:  # noqa: ANN401 - any message
            if caller := await self._admit(method, context):
                caller.begin()  # in a stream, each message is a request
            return await behaviour(request, context)

        return answer

    def _answering_stream(
        self, behaviour: Callable[[Any, Context], AsyncIterator[Any]], method: str
    ) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def answer(requests: Any, context: Context) -> AsyncIterator[Any]:  # noqa: ANN401 - any message
            await self._admit(method, context)
            async for response in behaviour(requests, context):
                yield response

        return answer

    async def _admit(self, method: str, context: Context) -> Caller | None:
        rule = RULES[method]
        if rule is None:
            return None
        token = await self._token(method, rule, context)
        caller = Caller(self._keyring, self._rates, method, rule, token)
        if rule.addressed is Addressed.IN_HEADER:
            caller.check(headers_of(context).get("x-database") or DEFAULT_DATABASE)
        else:  # the permission, before anything is read; the database when it is known
            caller.check(caller.database)
        CALLER.set(caller)
        return caller

    async def _token(self, method: str, rule: Rule, context: Context) -> Token | None:
        secrets = secrets_of(context)
        if not secrets:
            if rule.addressed is not Addressed.BY_TOKEN and await self._is_open():
                check_origin(headers_of(context))
                return None
            _audit.warning("refused a call without a token at %s", method)
            raise LakegateError(
                ErrorCode.UNAUTHENTICATED,
                "there is no token: send it as Authorization: Bearer, or as X-Ryft-Token",
            )
        if len(secrets) > 1:
            _audit.warning("refused a call with more than one token at %s", method)
            raise LakegateError(ErrorCode.UNAUTHENTICATED, "there is more than one token")
        (secret,) = secrets
        try:
            return await self._keyring.find(secret)
        except LakegateError as error:
            if error.code is ErrorCode.UNAUTHENTICATED:
                _audit.warning("refused token %s at %s: unknown", id_of(digest_of(secret)), method)
            raise

    async def _is_open(self) -> bool:
        return self._open_to_anybody and not (await self._keyring.keys()).required


def secrets_of(context: Context) -> set[str]:
    """Return the tokens of a call: `Authorization: Bearer` (RFC 6750) and `X-Ryft-Token`."""
    secrets: set[str] = set()
    for key, value in context.invocation_metadata() or ():
        if not isinstance(value, str):
            continue
        if key == "x-ryft-token":
            secrets.add(value.strip())
        elif key == "authorization" and value.lower().startswith(_BEARER):
            secrets.add(value[len(_BEARER) :].strip())
    return secrets - {""}
