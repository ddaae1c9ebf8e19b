"""Callers are told what failed, not what is behind the gate; the log has the rest."""

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
def test_what_is_behind_the_gate_is_in_the_log_alone(
    error: Exception,
    code: ErrorCode,
    message: str,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        told = as_lakegate_error(error, ORDERS)
    assert told.code is code
    assert told.message.startswith(message)
    assert secret not in told.message
    assert secret in caplog.text
    assert "hush" not in caplog.text  # the value of a partition is a caller's


def test_a_fault_of_ours_is_told_without_its_words() -> None:
    told = as_lakegate_error(RuntimeError("could not convert 'hush'"), ORDERS)
    assert told.code is ErrorCode.INGEST_FAILED
    assert "hush" not in told.message


def test_the_log_has_the_cause_of_a_change_of_unknown_outcome() -> None:
    error = CommitOutcomeUnknownError()
    error.__cause__ = CommitStateUnknownException("oops at node-7")
    assert described(error) == "CommitStateUnknownException: oops at node-7"
