"""Every table of a catalog, described."""

import logging
from collections.abc import Iterator

from pyiceberg.catalog import Catalog

from lakegate.lake.failures import CATALOG_FAILURES, described
from lakegate.lake.table.state import load_state
from lakegate.lake.table.tables import TableDescription, describe
from lakegate.model import TableName

log = logging.getLogger(__name__)


def describe_all(catalog: Catalog) -> Iterator[TableDescription]:
    """Describe the tables of every namespace of one level, by name.

    One that cannot be read is left out, and logged.
    """
    for database, *deeper in sorted(catalog.list_namespaces()):
        if deeper:
            continue
        for *_, table in sorted(catalog.list_tables((database,))):
            name = TableName(database, table)
            try:
                yield describe(load_state(catalog, name), name)
            except CATALOG_FAILURES:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one table
                log.warning("%s cannot be read: %s", name, described(error))
