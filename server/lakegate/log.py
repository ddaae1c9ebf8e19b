"""Logging: every line names the request it belongs to, and none quotes what a caller has sent.

What quotes it (the words of a refusal, the words of an exception) is logged at
DEBUG only.
"""

import json
import logging
import re
import traceback
from contextvars import ContextVar
from types import TracebackType

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")

_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
# An id that cannot pass for more of the line; any other is quoted.
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:/+=-]+")
# A line of the log is one line: nobody writes a second one into a name or a key.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def configure_logging(level: str) -> None:
    """Send the log to stderr, from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(_FORMAT, quotes_exceptions=level == "DEBUG"))
    handler.addFilter(_stamp_request_id)
    handler.addFilter(_quotes_no_header)
    logging.basicConfig(level=level, handlers=[handler], force=True)


class Formatter(logging.Formatter):
    """Writes exceptions as where they came from and what they are, without their words."""

    def __init__(self, line: str, *, quotes_exceptions: bool) -> None:
        """Format a record as `line`; `quotes_exceptions`: write their words all the same."""
        super().__init__(line)
        self._quotes_exceptions = quotes_exceptions

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Keep a record on its line."""
        record.message = record.message.translate(_CONTROL)
        return super().formatMessage(record)

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return the frames of an exception and of its causes, and their types."""
        if self._quotes_exceptions or ei[1] is None:
            return super().formatException(ei)
        return "\n".join(_without_words(ei[1]))


def _without_words(error: BaseException) -> list[str]:
    lines = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        lines += [*_without_words(cause), "", "… which led to:", ""]
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


def _quotes_no_header(record: logging.LogRecord) -> bool:
    """Drop what grpc says of header values that are no UTF-8: it quotes them, tokens too."""
    return not (record.name == "grpc._cython.cygrpc" and "encoding" in str(record.msg))
