"""How tables are maintained, and which."""

from dataclasses import dataclass
from typing import Self

from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.retention import GC_ENABLED, Retention
from lakegate.settings import MIB, Settings

# Tables made by Lakegate have it. Others are the business of whoever made them,
# unless this property is set on them.
MANAGED = "lakegate.managed"
DEFAULT_TARGET_BYTES = 128 * MIB


@dataclass(frozen=True, slots=True)
class MaintenancePolicy:
    """How tables are maintained.

    `sort_column`: what compacted files are sorted by, unless the table has a sort order.
    `orphan_grace_seconds`: how old a file must be before the sweep may delete it.
    `background_bytes`: how much is merged at once beside ingest: it is all in memory.
    `ledger_url`: where retries look for snapshots, which are then not expired.
    """

    retention: Retention
    sort_column: str = "at"
    orphan_grace_seconds: float = 3600.0
    background_bytes: int = 32 * MIB
    ledger_url: str | None = None

    @property
    def uncommitted_seconds(self) -> float:
        """How old a file may be when a commit names it first, so that no sweep takes it."""
        return self.orphan_grace_seconds / 2

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Give the policy that the settings describe."""
        return cls(
            retention=Retention(settings.snapshots_kept),
            sort_column=settings.compaction_sort_column,
            orphan_grace_seconds=settings.orphan_grace_seconds,
            background_bytes=settings.compaction_max_bytes,
            ledger_url=settings.ledger_database,
        )


def is_managed(metadata: TableMetadata) -> bool:
    """Whether Lakegate maintains the table."""
    return metadata.properties.get(MANAGED) == "true"


def may_collect_garbage(metadata: TableMetadata) -> bool:
    """Whether files of the table may be deleted (Iceberg table property `gc.enabled`)."""
    return metadata.properties.get(GC_ENABLED, "true").lower() == "true"


def target_bytes(metadata: TableMetadata) -> int:
    """Give the size that data files are merged to."""
    wanted = metadata.properties.get(TableProperties.WRITE_TARGET_FILE_SIZE_BYTES)
    return int(wanted) if wanted is not None else DEFAULT_TARGET_BYTES
