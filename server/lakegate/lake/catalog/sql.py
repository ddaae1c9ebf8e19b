"""A SQL catalog whose commits cost what they must: one metadata file, one UPDATE."""

from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.table.update import TableRequirement, TableUpdate
from sqlalchemy import bindparam, update
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from lakegate.lake.catalog.metadata_file import MetadataWriter
from lakegate.lake.catalog.pyiceberg_private import next_metadata_version, updated_metadata

# Made once: building a statement costs more than executing it.
_SWAP = (
    update(IcebergTables)
    .where(
        IcebergTables.catalog_name == bindparam("catalog"),
        IcebergTables.table_namespace == bindparam("namespace"),
        IcebergTables.table_name == bindparam("table"),
        IcebergTables.metadata_location == bindparam("before"),
    )
    .values(
        metadata_location=bindparam("after"),
        previous_metadata_location=bindparam("before"),
    )
)


def compares_all_metadata(catalog: object) -> bool:
    """Whether a commit fails where anything in the metadata of the table has changed.

    Other catalogs compare what the commit asserts: changes of properties, tags and branches by
    other engines come as no conflict.
    """
    return isinstance(catalog, LeanSqlCatalog)


class LeanSqlCatalog(SqlCatalog):
    """PyIceberg's SQL catalog, of the same tables and files, that trusts the table it is given.

    PyIceberg reads the table again before each commit. Here the UPDATE says
    whether the table is still what the caller knows: it is guarded by the
    location of the metadata that the commit is based on.
    """

    def __init__(self, name: str, **properties: str) -> None:
        """Open the catalog, as PyIceberg's."""
        super().__init__(name, **properties)
        self._metadata_writer = MetadataWriter()

    @override
    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Commit on top of `table`.

        Raises `CommitFailedException` where it is stale, and `CommitStateUnknownException` where
        the database did not answer the last step. After any other error nothing is committed.
        """
        if not self.engine.dialect.supports_sane_rowcount:
            return self._commit_after_reading(table, requirements, updates)
        for requirement in requirements:
            requirement.validate(table.metadata)
        metadata = updated_metadata(table, updates)
        locations = load_location_provider(metadata.location, metadata.properties)
        location = locations.new_table_metadata_file_location(next_metadata_version(table))
        self._metadata_writer.write(metadata, table.io.new_output(location))
        self._swap(table, location)
        return CommitTableResponse(metadata=metadata, metadata_location=location)

    def _commit_after_reading(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Commit in PyIceberg's way, for databases that do not count the rows of an UPDATE."""
        try:
            return super().commit_table(table, requirements, updates)
        except DBAPIError as error:
            raise CommitStateUnknownException(str(error)) from error

    def _swap(self, table: Table, location: str) -> None:
        """Point the catalog to the metadata at `location`, if nobody was faster."""
        *namespace, name = table.name()
        values = {
            "catalog": self.name,
            "namespace": ".".join(namespace),
            "table": name,
            "before": table.metadata_location,
            "after": location,
        }
        with self.engine.connect() as connection:
            if connection.execute(_SWAP, values).rowcount < 1:
                raise CommitFailedException(
                    f"{'.'.join(table.name())} has been updated by another writer"
                )
            try:
                connection.commit()
            except DBAPIError as error:
                raise CommitStateUnknownException(str(error)) from error
