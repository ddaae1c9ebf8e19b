"""Callers get the code and a general message; hosts, paths and causes are only logged."""

import logging

import pytest
from pyiceberg.exceptions import CommitStateUnknownException, ServerError
from requests.exceptions import ConnectionError as HttpConnectionError
from sqlalchemy.exc import OperationalError
from tests.testing.lines import ORDERS

from lakegate.errors import ErrorCode
from lakegate.lake.failures import (
    CommitOutcomeUnknownError,
    LedgerUnavailableError,
    as_lakegate_error,
    described,
)

HOST = "HTTPConnectionPool(host='10.1.2.3', port=19777): Max retries exceeded"
PATH = "/var/lake/default/orders/data/label=hush%2Fhush/00000.parquet"


@pytest.mark.parametrize(
    ("error", "code", "message", "secret"),
    [
        (HttpConnectionError(HOST), ErrorCode.UNAVAILABLE, "The catalog cannot", "10.1.2.3"),
        (ServerError("oops at node-7"), ErrorCode.UNAVAILABLE, "The catalog cannot", "node-7"),
        (
            OperationalError("SELECT", None, Exception("db-3 is down")),
            ErrorCode.UNAVAILABLE,
            "The catalog cannot",
            "db-3",
        ),
        (LedgerUnavailableError("db-4"), ErrorCode.UNAVAILABLE, "The ledger cannot", "db-4"),
        (OSError(20, "Not a directory", PATH), ErrorCode.INGEST_FAILED, "Storage", "/var/lake"),
    ],
)
def test_hosts_and_paths_are_only_logged(
    error: Exception,
    code: ErrorCode,
    message: str,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        refusal = as_lakegate_error(error, ORDERS)
    assert refusal.code is code
    assert refusal.message.startswith(message)
    assert secret not in refusal.message
    assert secret in caplog.text
    assert "hush" not in caplog.text  # the value of a partition is a caller's


def test_the_message_of_an_unexpected_error_is_not_sent() -> None:
    refusal = as_lakegate_error(RuntimeError("could not convert 'hush'"), ORDERS)
    assert refusal.code is ErrorCode.INGEST_FAILED
    assert "hush" not in refusal.message


def test_the_log_has_the_cause_of_an_unknown_outcome() -> None:
    error = CommitOutcomeUnknownError()
    error.__cause__ = CommitStateUnknownException("oops at node-7")
    assert described(error) == "CommitStateUnknownException: oops at node-7"
