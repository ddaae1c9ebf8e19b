"""Commits to a table at the catalog: every change of a table goes through `change_table`.

A catalog refuses a commit, accepts it, or leaves its outcome unknown: the answer is lost, or is an
error that may have come after the commit. Which errors are refusals depends on the catalog. An
error that is not known to be a refusal leaves the outcome unknown.
"""

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    BadRequestError,
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NoSuchTableError,
    OAuthError,
    RESTError,
    TooManyRequestsError,
    UnauthorizedError,
)
from pyiceberg.table.update import AssertTableUUID, TableRequirement, TableUpdate
from requests.exceptions import ConnectionError as HttpConnectionError
from requests.exceptions import ConnectTimeout
from urllib3.exceptions import MaxRetryError, NewConnectionError

from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.failures import CommitOutcomeUnknownError, TableMissingError
from lakegate.lake.table.state import SnapshotManifests, TableState

# Errors of a REST catalog that prove that it did not commit.
_REST_REFUSALS = (
    AuthorizationExpiredError,
    BadRequestError,
    ForbiddenError,
    NotImplementedError,
    OAuthError,
    TooManyRequestsError,
    UnauthorizedError,
)


def change_table(
    state: TableState,
    requirements: tuple[TableRequirement, ...],
    updates: tuple[TableUpdate, ...],
    manifests: SnapshotManifests | None = None,
) -> TableState:
    """Apply `updates` to the table of `state` if the `requirements` hold. Blocks.

    `manifests`: those of the snapshot that the updates add. Raises `CommitFailedException` for a
    conflict, `TableMissingError`, `CommitOutcomeUnknownError` if the commit may have
    succeeded, and any other error of the catalog if it has not.
    """
    catalog = state.table.catalog
    try:
        response = catalog.commit_table(
            state.table, (AssertTableUUID(uuid=state.uuid), *requirements), updates
        )
    except NoSuchTableError as error:
        raise TableMissingError from error
    except Exception as error:
        if _is_refusal(error, catalog):
            raise
        raise CommitOutcomeUnknownError from error
    return state.after(response, manifests)


def _is_refusal(error: Exception, catalog: object) -> bool:
    """Whether the error proves that nothing was committed."""
    if isinstance(error, CommitFailedException):
        return True
    if isinstance(catalog, LeanSqlCatalog):
        return not isinstance(error, CommitStateUnknownException)
    if isinstance(catalog, RestCatalog):
        # PyIceberg raises the bare base class for other statuses below 500.
        is_other_refusal = type(error) is RESTError
        return isinstance(error, _REST_REFUSALS) or is_other_refusal or _was_not_sent(error)
    return False


def _was_not_sent(error: Exception) -> bool:
    """Whether no connection could be opened for the request."""
    if isinstance(error, ConnectTimeout):
        return True
    cause = error.args[0] if isinstance(error, HttpConnectionError) and error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
