"""Errors of the lake, and their translation into the error vocabulary.

The messages for callers are Lakegate's own. Those of a catalog, a database or storage contain
hosts and paths, so they are only logged, without the values of partitions: these are callers' data
and part of the paths of files.
"""

import logging
import re

from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
)
from requests.exceptions import RequestException
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lakegate.errors import OUTCOME_UNKNOWN_MESSAGE, ErrorCode, LakegateError
from lakegate.model import TableName

log = logging.getLogger(__name__)


class TableMissingError(Exception):
    """The catalog has no such table."""


class TableReplacedError(Exception):
    """The table was dropped and created again: its old files and field ids are invalid."""


class TableChangedError(Exception):
    """Data files were written for columns or a partitioning that the table no longer has."""


class CommitOutcomeUnknownError(Exception):
    """The catalog did not report whether it made a change; the cause is what it did report."""


class FilesTooOldError(Exception):
    """A sweep may have deleted data files: it committed a fence after they were begun."""


class ColumnConflictError(Exception):
    """Another writer has added a column of the same name with another type."""


class LedgerUnavailableError(Exception):
    """The ledger did not answer, or did not report whether it committed a transaction."""


# The catalog did not answer, or did not report whether it made a commit.
CATALOG_FAILURES = (
    CommitOutcomeUnknownError,
    CommitStateUnknownException,
    DBAPIError,
    PoolTimeoutError,
    RequestException,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
)
# Another attempt may succeed: another writer committed first, or the catalog did not answer.
RETRYABLE = (CommitFailedException, *CATALOG_FAILURES)
# A partition in a path, `column=value`, its value quoted as in a URL.
_PARTITION = re.compile(r"(?<=/)([^/=\s]+)=[^/\s'\"]*")
MAX_DESCRIBED_CHARACTERS = 1000


def table_not_found(table: TableName) -> LakegateError:
    """Return the refusal of a request to a missing table."""
    return LakegateError(ErrorCode.TABLE_NOT_FOUND, f"There is no table {table}.")


def draining() -> LakegateError:
    """Return the refusal of a request while the server shuts down."""
    return LakegateError(
        ErrorCode.UNAVAILABLE, "The server is shutting down.", retry_after_seconds=1
    )


def conflict(table: TableName, attempts: int) -> LakegateError:
    """Return the refusal after conflicts in all attempts at a commit."""
    return LakegateError(
        ErrorCode.COMMIT_CONFLICT,
        f"Conflict: other writers committed to {table} first, up to {attempts} times in a row.",
        retry_after_seconds=1,
    )


def outcome_unknown() -> LakegateError:
    """Return the refusal of a request whose rows may or may not be committed."""
    return LakegateError(ErrorCode.OUTCOME_UNKNOWN, OUTCOME_UNKNOWN_MESSAGE)


def as_lakegate_error(error: BaseException, table: TableName, attempts: int = 1) -> LakegateError:
    """Translate any error into the error vocabulary; log what the caller does not get."""
    match error:
        case LakegateError():
            return error
        case TableMissingError():
            return table_not_found(table)
        case (
            CommitFailedException()
            | TableChangedError()
            | TableReplacedError()
            | ColumnConflictError()
        ):
            return conflict(table, attempts)
        case _ if isinstance(error, (LedgerUnavailableError, *CATALOG_FAILURES)):
            what = "ledger" if isinstance(error, LedgerUnavailableError) else "catalog"
            log.warning("%s: the %s cannot be reached: %s", table, what, described(error))
            return LakegateError(
                ErrorCode.UNAVAILABLE,
                f"The {what} cannot be reached.",
                retry_after_seconds=1,
            ).caused_by(described(error))
        case OSError():
            log.warning("%s: storage failed: %s", table, described(error))
            refusal = LakegateError(ErrorCode.INGEST_FAILED, f"Storage failed: {table}.")
            return refusal.caused_by(described(error))
        case _:
            log.warning("%s: failed: %s", table, type(error).__name__)
            return LakegateError(
                ErrorCode.INGEST_FAILED,
                f"The commit to {table} failed; the log has the cause.",
            ).caused_by(type(error).__name__)  # its message may quote rows


def described(error: BaseException) -> str:
    """Return an error's type and its first line for the log, without the values of partitions."""
    if isinstance(error, CommitOutcomeUnknownError) and error.__cause__ is not None:
        error = error.__cause__
    first = next(iter(str(error).splitlines()), "")[:MAX_DESCRIBED_CHARACTERS]
    without_values = _PARTITION.sub(r"\1=…", first)
    return f"{type(error).__name__}: {without_values}"
