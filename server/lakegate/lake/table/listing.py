"""Descriptions of all tables of a catalog."""

import logging
from collections.abc import Iterator

from pyiceberg.catalog import Catalog

from lakegate.lake.failures import CATALOG_FAILURES, described
from lakegate.lake.table.description import TableDescription, load_description
from lakegate.model import TableName

log = logging.getLogger(__name__)


def describe_all(catalog: Catalog) -> Iterator[TableDescription]:
    """Yield a description of each table in the namespaces of one level, by name.

    A table that cannot be read is logged and left out.
    """
    for database, *deeper in sorted(catalog.list_namespaces()):
        if deeper:
            continue
        for *_, table in sorted(catalog.list_tables((database,))):
            name = TableName(database, table)
            try:
                yield load_description(catalog, name)
            except CATALOG_FAILURES:
                raise
            except Exception as error:  # noqa: BLE001 - one table must not hide the others
                log.warning("%s cannot be read: %s", name, described(error))
