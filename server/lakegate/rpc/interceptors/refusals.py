"""The log line of a refusal: its code, table, token and reason, under its request id."""

import logging
import re

from lakegate.errors import ErrorCode, LakegateError
from lakegate.log import TABLE
from lakegate.rpc.interceptors.auth import CALLER
from lakegate.rpc.status import shortened_message

_log = logging.getLogger("lakegate.rpc")

# Their messages may quote rows, which are logged at DEBUG only.
_QUOTING = frozenset(
    {
        ErrorCode.INVALID_ARGUMENT,
        ErrorCode.BAD_REQUEST_BODY,
        ErrorCode.INVALID_QUERY_EVENT,
        ErrorCode.SCHEMA_CONFLICT,
    }
)
_LINE = re.compile(r"line \d+")


def log_refusal(error: LakegateError) -> None:
    """Log a refusal as one line."""
    caller = CALLER.get(None)
    token = caller.token if caller else None
    _log.warning(
        "refused: %s, table %s, token %s: %s",
        error.code.value.name,
        TABLE.get(),
        token.id if token else "-",
        _reason(error),
    )


def _reason(error: LakegateError) -> str:
    if error.code in _QUOTING and not _log.isEnabledFor(logging.DEBUG):
        lines = [each.field for each in error.violations if _LINE.fullmatch(each.field)]
        return ", ".join(lines) or "the message may quote the request, so it is logged at DEBUG"
    message = shortened_message(error)
    return f"{message} ({error.cause})" if error.cause else message
