"""A table that Lakegate maintains: the only kind that compaction, expiry and the sweep accept."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.table.ownership import is_managed
from lakegate.lake.table.state import TableState, load_state, reload
from lakegate.model import TableName

# Returns the lock without which this process commits nothing to one table.
CommitLock = Callable[[], AbstractContextManager[None]]


class UnmanagedTableError(Exception):
    """Lakegate does not maintain the table."""


@dataclass(frozen=True, slots=True)
class ManagedTable:
    """A managed table at one version of its metadata.

    The constructor raises `UnmanagedTableError` for any other table.
    """

    state: TableState

    def __post_init__(self) -> None:
        """Check that the table is managed."""
        if not is_managed(self.metadata):
            raise UnmanagedTableError(str(self.name))

    @property
    def name(self) -> TableName:
        """The name that the table was loaded by."""
        *namespace, table = self.state.table.name()
        return TableName(".".join(namespace), table)

    @property
    def metadata(self) -> TableMetadata:
        """The table's metadata (Iceberg table spec, "Table Metadata")."""
        return self.state.metadata

    def reload(self, catalog: Catalog) -> "ManagedTable":
        """Read the table again.

        Raises `UnmanagedTableError` if it is no longer managed, `TableReplacedError` if the name
        refers to another table now, and `TableMissingError` if it refers to none.
        """
        return ManagedTable(reload(catalog, self.name, self.state.uuid))


def load_managed(catalog: Catalog, name: TableName) -> ManagedTable:
    """Read a table. Raises `UnmanagedTableError` or `TableMissingError`."""
    return ManagedTable(load_state(catalog, name))
