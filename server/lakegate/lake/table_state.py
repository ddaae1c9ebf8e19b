"""What a server knows of a table: its metadata and the manifests of its current snapshot.

A state is a value and never changes; a commit makes the next one. It is kept
warm between commits and thrown away when the catalog says that it is stale.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.locations import LocationProvider, load_location_provider
from pyiceberg.table.metadata import TableMetadata

from lakegate import clock
from lakegate.batches import TableName
from lakegate.lake.failures import TableMissingError, TableReplacedError
from lakegate.lake.schema import arrow_schema

# Entries of manifests that a state keeps, times columns: each has some half a kilobyte of bounds.
KEPT_VALUES = 1000


@dataclass(frozen=True)
class TableState:
    """A table at one version of its metadata."""

    table: Table
    manifests: tuple[ManifestFile, ...]
    # When this was read from the catalog, on the monotonic clock: credentials
    # that the catalog hands out with a table end some day.
    loaded_at: float = field(default_factory=clock.monotonic)
    # What is in small manifests that were written here, by path: merging them reads no file.
    entries: Mapping[str, Sequence[ManifestEntry]] = field(default_factory=dict)

    @property
    def metadata(self) -> TableMetadata:
        """The table's metadata (Iceberg table spec, "Table Metadata")."""
        return self.table.metadata

    @property
    def uuid(self) -> uuid.UUID:
        """What tells the table from another one that has its name later."""
        return self.metadata.table_uuid

    @property
    def io(self) -> FileIO:
        """The storage of the table's files."""
        return self.table.io

    @cached_property
    def locations(self) -> LocationProvider:
        """Where new files go."""
        return load_location_provider(self.metadata.location, self.metadata.properties)

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The columns as decoders see them."""
        return arrow_schema(self.metadata.schema(), self.metadata.properties)

    @property
    def snapshot_id(self) -> str:
        """The current snapshot in decimal digits, empty where there is none."""
        current = self.metadata.current_snapshot_id
        return str(current) if current is not None else ""

    def after(
        self,
        response: CommitTableResponse,
        manifests: tuple[ManifestFile, ...],
        written: Mapping[str, Sequence[ManifestEntry]] = MappingProxyType({}),
    ) -> "TableState":
        """Give the state that a commit led to; `written`: what is in the manifests it wrote."""
        table = Table(
            self.table.name(),
            response.metadata,
            response.metadata_location,
            self.table.io,
            self.table.catalog,
            self.table.config,
        )
        entries = _kept({**self.entries, **written}, manifests, table)
        return TableState(table, manifests, self.loaded_at, entries)


def _kept(
    entries: Mapping[str, Sequence[ManifestEntry]], manifests: Sequence[ManifestFile], table: Table
) -> dict[str, Sequence[ManifestEntry]]:
    """Keep the entries of manifests that are still there, as far as memory allows."""
    room = KEPT_VALUES // max(len(table.metadata.schema().fields), 1)
    kept = {}
    for manifest in manifests:
        known = entries.get(manifest.manifest_path, ())
        if 0 < len(known) <= room:
            kept[manifest.manifest_path] = known
            room -= len(known)
    return kept


def load_state(catalog: Catalog, name: TableName) -> TableState:
    """Read a table from the catalog. Raises `TableMissingError`."""
    try:
        table = catalog.load_table((name.database, name.table))
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise TableMissingError(str(name)) from error
    return state_of(table)


def current_uuid(catalog: Catalog, name: TableName) -> uuid.UUID | None:
    """Ask the catalog which table the name means; None for none."""
    try:
        return catalog.load_table((name.database, name.table)).metadata.table_uuid
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def reload(catalog: Catalog, name: TableName, table_uuid: uuid.UUID) -> TableState:
    """Read a table again. Raises `TableReplacedError` where the name means another one now."""
    state = load_state(catalog, name)
    if state.uuid != table_uuid:
        raise TableReplacedError(str(name))
    return state


def state_of(table: Table) -> TableState:
    """Read the manifests of a table's current snapshot."""
    snapshot = table.metadata.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot is not None else ()
    return TableState(table, tuple(manifests))
