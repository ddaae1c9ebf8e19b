"""Logging: every line names the request it belongs to."""

import logging
from contextvars import ContextVar

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")

_FORMAT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


def configure_logging(level: str) -> None:
    """Send the log to stderr, from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(_stamp_request_id)
    handler.addFilter(_quotes_no_header)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _stamp_request_id(record: logging.LogRecord) -> bool:
    record.request_id = REQUEST_ID.get()
    return True


def _quotes_no_header(record: logging.LogRecord) -> bool:
    """Drop what grpc says of header values that are no UTF-8: it quotes them, tokens too."""
    return not (record.name == "grpc._cython.cygrpc" and "encoding" in str(record.msg))
