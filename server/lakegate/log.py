"""Logging: every line has the id of its request, and none quotes what a caller sent.

Texts that may quote it, the messages of refusals and exceptions, are logged at DEBUG only.
"""

import json
import logging
import re
import traceback
from contextvars import ContextVar
from types import TracebackType

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")
# The table of a request, once its name was checked.
TABLE: ContextVar[str] = ContextVar("table", default="-")

_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
# An id that cannot pass for more of the line; any other is quoted.
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:/+=-]+")
# Escaped, so that a name or a key cannot forge a line of the log.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def configure_logging(level: str) -> None:
    """Write records of `level` and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(_FORMAT, quotes_exceptions=level == "DEBUG"))
    handler.addFilter(_stamp_request_id)
    handler.addFilter(_has_no_header_value)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # PyIceberg logs routine operations at INFO.
    logging.getLogger("pyiceberg").setLevel(level if level == "DEBUG" else "WARNING")


class Formatter(logging.Formatter):
    """Formats exceptions as their frames and types, without their messages."""

    def __init__(self, line: str, *, quotes_exceptions: bool) -> None:
        """Format a record as `line`. `quotes_exceptions`: include the messages of exceptions."""
        super().__init__(line)
        self._quotes_exceptions = quotes_exceptions

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the record as one line."""
        record.message = record.message.translate(_CONTROL)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the frames and types of an exception and its causes."""
        if self._quotes_exceptions or ei[1] is None:
            return super().formatException(ei)
        return "\n".join(_without_message(ei[1]))


def _without_message(error: BaseException) -> list[str]:
    lines = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        lines += [*_without_message(cause), "", "The exception above caused:", ""]
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    kind = type(error)
    return [
        *lines,
        "Traceback (most recent call last):",
        frames,
        f"{kind.__module__}.{kind.__qualname__}",
    ]


def _stamp_request_id(record: logging.LogRecord) -> bool:
    request_id = REQUEST_ID.get()
    record.request_id = request_id if _PLAIN_ID.fullmatch(request_id) else json.dumps(request_id)
    return True


def _has_no_header_value(record: logging.LogRecord) -> bool:
    """Drop the messages of grpc about header values that are not UTF-8: they may quote tokens."""
    return not (record.name == "grpc._cython.cygrpc" and "encoding" in str(record.msg))
