"""The log quotes nothing that a caller sent, and each record is one line."""

import io
import logging
from collections.abc import Iterator

import pytest

from lakegate.log import Formatter, configure_logging

FORMAT = "%(levelname)s %(message)s"


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(written: io.StringIO) -> Iterator[logging.Logger]:
    log = logging.getLogger("tests.log")
    handler = logging.StreamHandler(written)
    handler.setFormatter(Formatter(FORMAT, quotes_exceptions=False))
    log.addHandler(handler)
    log.propagate = False
    yield log
    log.removeHandler(handler)


def fail(body: str) -> None:
    try:
        int(body)
    except ValueError as error:
        raise RuntimeError(body) from error


def test_an_exception_is_logged_as_its_type_and_its_frames(
    log: logging.Logger, written: io.StringIO
) -> None:
    try:
        fail("the body")
    except RuntimeError:
        log.exception("it failed")
    said = written.getvalue()
    assert said.count("the body") == 1  # in the line of this test that is in the traceback
    assert "builtins.ValueError\n" in said
    assert said.endswith("builtins.RuntimeError\n")
    assert "in fail" in said


def test_at_debug_its_message_is_logged() -> None:
    formatter = Formatter(FORMAT, quotes_exceptions=True)
    try:
        fail("the body")
    except RuntimeError as error:
        said = formatter.formatException((RuntimeError, error, error.__traceback__))
    assert said.endswith("RuntimeError: the body")


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028", "\x1b[2J", "\x00"])
def test_a_logged_value_cannot_forge_a_line(
    log: logging.Logger, written: io.StringIO, end: str
) -> None:
    log.warning("idempotency key %s", f"k{end}ERROR all is lost")
    assert len(written.getvalue().splitlines()) == 1
    assert "\x1b" not in written.getvalue()


@pytest.mark.parametrize(("level", "lines"), [("INFO", 0), ("DEBUG", 1)])
def test_pyiceberg_logs_its_routine_at_debug_only(level: str, lines: int) -> None:
    root, library = logging.getLogger(), logging.getLogger("pyiceberg")
    before = root.handlers[:], root.level, library.level
    configure_logging(level)
    [handler] = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(io.StringIO())
    try:
        logging.getLogger("pyiceberg.io").info("Loaded FileIO")
        assert handler.stream.getvalue().count("Loaded FileIO") == lines
    finally:
        root.handlers[:], root.level, library.level = before
