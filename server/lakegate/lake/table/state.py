"""The state of a table: its metadata, and the manifests of its current snapshot.

A state is immutable; a commit returns the next one. It is cached between commits and discarded when
the catalog reports that it is stale.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.locations import LocationProvider, load_location_provider
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from lakegate import clock
from lakegate.lake.catalog.usable_properties import usable
from lakegate.lake.failures import TableMissingError, TableReplacedError
from lakegate.lake.table.schema import arrow_schema
from lakegate.model import TableName

# Cached manifest entries times columns; the bounds of one column take about 500 bytes.
MAX_CACHED_VALUES = 1000


@dataclass(frozen=True, slots=True)
class SnapshotManifests:
    """The manifests of the snapshot `snapshot_id`.

    `entries`: the entries of small manifests that this process wrote, by path. Merging these
    manifests reads no file.
    """

    snapshot_id: int
    manifests: tuple[ManifestFile, ...]
    entries: Mapping[str, Sequence[ManifestEntry]] = field(default_factory=dict)

    def bounded(self, columns: int) -> "SnapshotManifests":
        """Return the same manifests with no more entries than the limit of the cache."""
        remaining = MAX_CACHED_VALUES // max(columns, 1)
        kept = {}
        for manifest in self.manifests:
            entries = self.entries.get(manifest.manifest_path, ())
            if 0 < len(entries) <= remaining:
                kept[manifest.manifest_path] = entries
                remaining -= len(entries)
        return SnapshotManifests(self.snapshot_id, self.manifests, kept)


@dataclass(frozen=True)
class TableState:
    """A table at one version of its metadata.

    `cached_manifests`: the manifests of a snapshot that this process has read or written. They
    are used only if that snapshot is the current one: a catalog may answer a commit with metadata
    that has a later snapshot of another writer.
    """

    table: Table
    cached_manifests: SnapshotManifests | None = None
    # When the table was read from the catalog, on the monotonic clock: the credentials that a
    # catalog returns with a table expire.
    loaded_at: float = field(default_factory=clock.monotonic)

    @property
    def metadata(self) -> TableMetadata:
        """The table's metadata (Iceberg table spec, "Table Metadata")."""
        return self.table.metadata

    @cached_property
    def current_snapshot(self) -> Snapshot | None:
        """The current snapshot of `main`."""
        return self._snapshot(self.metadata.current_snapshot_id)

    def has_snapshot(self, snapshot_id: int) -> bool:
        """Whether the metadata has the snapshot."""
        return self._snapshot(snapshot_id) is not None

    def _snapshot(self, snapshot_id: int | None) -> Snapshot | None:
        """Return a snapshot. The search starts with the newest one."""
        snapshots = reversed(self.metadata.snapshots)
        return next((each for each in snapshots if each.snapshot_id == snapshot_id), None)

    @property
    def _current(self) -> SnapshotManifests | None:
        """The manifests of the current snapshot. The first access may block.

        Not a `cached_property`: before Python 3.12 all instances share its lock, so a slow read
        for one table would block the others.
        """
        snapshot = self.current_snapshot
        if snapshot is None:
            return None
        cached = self.cached_manifests
        if cached is None or cached.snapshot_id != snapshot.snapshot_id:
            cached = SnapshotManifests(snapshot.snapshot_id, tuple(snapshot.manifests(self.io)))
            # The state stays the same: this is only a cache.
            object.__setattr__(self, "cached_manifests", cached)
        return cached

    @property
    def manifests(self) -> tuple[ManifestFile, ...]:
        """The manifests of the current snapshot. The first access may block."""
        return self._current.manifests if self._current is not None else ()

    @property
    def entries(self) -> Mapping[str, Sequence[ManifestEntry]]:
        """The entries of those manifests that this process wrote, by path."""
        return self._current.entries if self._current is not None else {}

    @property
    def uuid(self) -> uuid.UUID:
        """The UUID of the table. A table that later gets its name has another one."""
        return self.metadata.table_uuid

    @property
    def io(self) -> FileIO:
        """The storage of the table's files."""
        return self.table.io

    @cached_property
    def locations(self) -> LocationProvider:
        """The locations of new files."""
        return load_location_provider(self.metadata.location, usable(self.metadata.properties))

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The columns, for decoders."""
        return arrow_schema(self.metadata.schema(), self.metadata.properties)

    @property
    def snapshot_id(self) -> str:
        """The id of the current snapshot in decimal digits; empty for a table without snapshots."""
        current = self.metadata.current_snapshot_id
        return str(current) if current is not None else ""

    def after(
        self, response: CommitTableResponse, manifests: SnapshotManifests | None = None
    ) -> "TableState":
        """Return the state after a commit; `manifests`: those of the snapshot that it added."""
        table = Table(
            self.table.name(),
            response.metadata,
            response.metadata_location,
            self.table.io,
            self.table.catalog,
            self.table.config,
        )
        columns = len(response.metadata.schema().fields)
        cached = self.cached_manifests if manifests is None else manifests.bounded(columns)
        after = TableState(table, cached, self.loaded_at)
        if _describes_same(self.metadata, after.metadata):
            # What was computed of these holds for the new state too.
            computed = self.__dict__.keys() & {"locations", "arrow_schema"}
            after.__dict__.update({name: self.__dict__[name] for name in computed})
        return after


def _describes_same(one: TableMetadata, other: TableMetadata) -> bool:
    """Whether location, properties and columns are the same. Lists compare by identity first."""
    return (
        one.location == other.location
        and one.properties == other.properties
        and one.current_schema_id == other.current_schema_id
        and one.schemas == other.schemas
    )


def load_state(catalog: Catalog, name: TableName) -> TableState:
    """Read a table from the catalog. Blocks. Raises `TableMissingError`."""
    try:
        table = catalog.load_table((name.database, name.table))
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise TableMissingError(str(name)) from error
    return TableState(table)


def current_uuid(catalog: Catalog, name: TableName) -> uuid.UUID | None:
    """Read the UUID of the table from the catalog; None for a missing table."""
    try:
        return catalog.load_table((name.database, name.table)).metadata.table_uuid
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def reload(catalog: Catalog, name: TableName, table_uuid: uuid.UUID) -> TableState:
    """Read a table again. Raises `TableReplacedError` if the name refers to another table now."""
    state = load_state(catalog, name)
    if state.uuid != table_uuid:
        raise TableReplacedError(str(name))
    return state
