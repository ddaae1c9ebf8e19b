"""The log quotes nothing that a caller has sent, and a line of it is one line."""

import io
import logging
from collections.abc import Iterator

import pytest

from lakegate.log import Formatter

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


def test_an_exception_is_told_by_its_kind_and_its_place(
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


def test_at_debug_its_words_are_there() -> None:
    formatter = Formatter(FORMAT, quotes_exceptions=True)
    try:
        fail("the body")
    except RuntimeError as error:
        said = formatter.formatException((RuntimeError, error, error.__traceback__))
    assert said.endswith("RuntimeError: the body")


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028", "\x1b[2J", "\x00"])
def test_nobody_writes_a_line_of_their_own(
    log: logging.Logger, written: io.StringIO, end: str
) -> None:
    log.warning("idempotency key %s", f"k{end}ERROR all is lost")
    assert len(written.getvalue().splitlines()) == 1
    assert "\x1b" not in written.getvalue()
