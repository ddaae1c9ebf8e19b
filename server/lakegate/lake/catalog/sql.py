"""A SQL catalog with cheap commits: one metadata file and one UPDATE."""

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
from lakegate.lake.catalog.usable_properties import usable

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
    """Whether a commit fails after any other change of the table's metadata.

    Other catalogs compare only the requirements of the commit: a change of properties, tags or
    branches by another engine is no conflict.
    """
    return isinstance(catalog, LeanSqlCatalog)


class LeanSqlCatalog(SqlCatalog):
    """PyIceberg's SQL catalog, without its read of the table before each commit.

    The database and the files are the same. The UPDATE detects conflicts: its condition is the
    location of the metadata that the commit is based on.
    """

    def __init__(self, name: str, **properties: str) -> None:
        """Open the catalog."""
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

        Raises `CommitFailedException` if it is stale, and `CommitStateUnknownException` if the
        outcome of the transaction is unknown. After any other error nothing is committed.
        """
        if not self.engine.dialect.supports_sane_rowcount:
            return self._commit_after_reading(table, requirements, updates)
        for requirement in requirements:
            requirement.validate(table.metadata)
        metadata = updated_metadata(table, updates)
        locations = load_location_provider(metadata.location, usable(metadata.properties))
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
        """Commit as PyIceberg does, for databases that do not count the rows of an UPDATE."""
        try:
            return super().commit_table(table, requirements, updates)
        except DBAPIError as error:
            raise CommitStateUnknownException(str(error)) from error

    def _swap(self, table: Table, location: str) -> None:
        """Set the location of the table's metadata, if no other writer has changed it."""
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
