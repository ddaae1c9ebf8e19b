"""The catalog: where tables are found by name, and where a commit becomes true."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError
from pyiceberg.io import PY_IO_IMPL
from pyiceberg.utils.config import Config
from sqlalchemy import URL, event
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

from lakegate.concurrency.retry import CATALOG_OPEN
from lakegate.database.postgres import CONNECT_ARGUMENTS, with_driver
from lakegate.database.sqlite import BUSY_SECONDS, prepare_connection
from lakegate.errors import ErrorCode, LakegateError
from lakegate.home import CATALOG, make_private
from lakegate.lake.catalog.durable_file_io import DurableFileIO
from lakegate.lake.catalog.embedded import SCHEME, WAREHOUSE, EmbeddedCatalog, HomeFileIO
from lakegate.lake.catalog.pyiceberg_private import bound_requests, pin_storage
from lakegate.lake.catalog.sql import LeanSqlCatalog
from lakegate.lake.failures import CATALOG_FAILURES, described

# Characters that end the path of a URI.
_ENDS_A_PATH = frozenset("?#")

C = TypeVar("C", bound=Catalog)


def open_catalog(name: str, home: Path, *, fsync: bool = True) -> Catalog:
    """Open the PyIceberg catalog `name`, or the embedded one if none is configured.

    A catalog is configured by `PYICEBERG_CATALOG__<NAME>__*` or by PyIceberg's file. The embedded
    catalog is SQLite in `home/catalog.db`, with files in `home/warehouse`, which are synced before
    the commit that references them, unless `fsync` is false. The settings of file access are the
    catalog's, never a table's: see `pin_storage`. Raises `LakegateError`: invalid_argument for a
    wrong configuration, a home that cannot be part of a URI, or one whose catalog belongs to
    another home; unavailable if the catalog does not answer.
    """
    try:
        catalog = _open(name, home, fsync=fsync)
    except CATALOG_FAILURES as error:
        raise LakegateError(
            ErrorCode.UNAVAILABLE, f"The catalog {name} cannot be opened: {described(error)}"
        ) from error
    except (ArgumentError, ImportError, ValueError) as error:  # their messages quote the URI
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"The catalog {name} is not configured correctly ({type(error).__name__}): check the "
            f"variables PYICEBERG_CATALOG__{name.upper()}__… and PyIceberg's file.",
        ) from None
    pin_storage(catalog)
    return catalog


def is_embedded(name: str) -> bool:
    """Whether `name` is the embedded catalog: no other catalog of that name is configured."""
    return not Config().get_catalog_config(name)


def _open(name: str, home: Path, *, fsync: bool) -> Catalog:
    if properties := Config().get_catalog_config(name):
        flat = {key: str(value) for key, value in properties.items()}
        if "uri" in flat:
            flat["uri"] = with_driver(flat["uri"])
        catalog = _opened_together(lambda: load_catalog(name, **flat))
        if isinstance(catalog, RestCatalog):
            bound_requests(catalog)
        if type(catalog) is not SqlCatalog:
            return catalog
        catalog.close()
        return _open_sql(name, {"pool_pre_ping": "true", **catalog.properties})
    return _open_embedded(name, home.absolute(), fsync=fsync)


def _open_sql(name: str, properties: dict[str, str]) -> LeanSqlCatalog:
    catalog = LeanSqlCatalog(name, **properties)
    if catalog.engine.dialect.name == "postgresql":
        event.listen(catalog.engine, "do_connect", _bound_waits)
        catalog.engine.dispose()  # so that the listener is called for every connection in use
    return catalog


def _bound_waits(
    _dialect: object, _record: object, _arguments: object, keywords: dict[str, Any]
) -> None:
    """Add the timeouts that the catalog's URI does not set."""
    for name, value in CONNECT_ARGUMENTS.items():
        keywords.setdefault(name, value)


def ensure_namespace(catalog: Catalog, database: str) -> None:
    """Create the namespace `database` if it is missing."""
    # For concurrent calls a SQL catalog raises IntegrityError.
    with contextlib.suppress(NamespaceAlreadyExistsError, IntegrityError):
        catalog.create_namespace((database,))


def _open_embedded(name: str, home: Path, *, fsync: bool) -> Catalog:
    if _ENDS_A_PATH.intersection(str(home)):
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, f"The home {home} must not have ? or # in its path."
        )
    warehouse = home / WAREHOUSE
    make_private(home)
    warehouse.mkdir(exist_ok=True)
    database = str(home / CATALOG)
    url = URL.create("sqlite", database=database, query={"timeout": str(BUSY_SECONDS)})
    uri = url.render_as_string()
    # Iceberg's locations are URIs without escapes: engines use the path verbatim.
    location = f"{SCHEME}{warehouse}"
    file_io = DurableFileIO if fsync else HomeFileIO
    io_name = f"{file_io.__module__}.{file_io.__name__}"
    properties = {"uri": uri, "warehouse": location, PY_IO_IMPL: io_name}
    catalog = _opened_together(lambda: EmbeddedCatalog(name, **properties))
    event.listen(catalog.engine, "connect", _connected)
    catalog.engine.dispose()  # so that the listener is called for every connection in use
    try:
        catalog.bind(home)
    except LakegateError:
        catalog.close()
        raise
    return catalog


def _opened_together(open_: Callable[[], C]) -> C:
    """Open a catalog even if another process is creating its tables.

    The error of the second process depends on the database.
    """
    for _ in CATALOG_OPEN.attempts():
        with contextlib.suppress(OperationalError, ProgrammingError, IntegrityError):
            return open_()
    return open_()  # now its error is raised


def _connected(connection: sqlite3.Connection, _record: object) -> None:
    prepare_connection(connection)
