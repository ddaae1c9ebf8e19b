"""A table that Lakegate maintains: what compaction, expiry and the sweep take, and nothing else."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.table.ownership import is_managed
from lakegate.lake.table.state import TableState, load_state, reload
from lakegate.model import TableName

# What holds off the commits of this process to one table.
Alone = Callable[[], AbstractContextManager[None]]


class UnmanagedTableError(Exception):
    """The table is its owner's to keep in order, not Lakegate's."""


@dataclass(frozen=True, slots=True)
class ManagedTable:
    """A table at one version of its metadata, in which it is Lakegate's to maintain.

    There is none of any other table: to make one raises `UnmanagedTableError`.
    """

    state: TableState

    def __post_init__(self) -> None:
        """Check that the table is managed."""
        if not is_managed(self.metadata):
            raise UnmanagedTableError(str(self.name))

    @property
    def name(self) -> TableName:
        """The name it was loaded by."""
        *namespace, table = self.state.table.name()
        return TableName(".".join(namespace), table)

    @property
    def metadata(self) -> TableMetadata:
        """The table's metadata (Iceberg table spec, "Table Metadata")."""
        return self.state.metadata

    def reload(self, catalog: Catalog) -> "ManagedTable":
        """Read the table again.

        Raises `UnmanagedTableError` where it is no longer managed, `TableReplacedError` where the
        name means another table now, `TableMissingError` where it means none.
        """
        return ManagedTable(reload(catalog, self.name, self.state.uuid))


def load_managed(catalog: Catalog, name: TableName) -> ManagedTable:
    """Read a table. Raises `UnmanagedTableError` or `TableMissingError`."""
    return ManagedTable(load_state(catalog, name))
