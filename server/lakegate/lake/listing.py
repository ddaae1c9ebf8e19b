"""Every table of a catalog, described."""

from collections.abc import Iterator

from pyiceberg.catalog import Catalog

from lakegate.batches import TableName
from lakegate.lake.table_state import load_state
from lakegate.lake.tables import TableDescription, describe


def describe_all(catalog: Catalog) -> Iterator[TableDescription]:
    """Describe the tables of every namespace of one level, by name."""
    for database, *deeper in sorted(catalog.list_namespaces()):
        if deeper:
            continue
        for *_, table in sorted(catalog.list_tables((database,))):
            name = TableName(database, table)
            yield describe(load_state(catalog, name), name)
