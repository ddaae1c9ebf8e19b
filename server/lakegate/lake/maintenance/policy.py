"""How tables are maintained."""

from dataclasses import dataclass, field
from typing import Self

from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.catalog.numeric_properties import number
from lakegate.lake.table.retention import Retention
from lakegate.settings import MIB, Settings

DEFAULT_TARGET_BYTES = 128 * MIB


@dataclass(frozen=True, slots=True)
class Graces:
    """How long files stay that no snapshot references, in seconds.

    `own`: those that Lakegate wrote. `foreign`: all others; a job of another engine may be
    about to commit them.
    """

    own: float = 3600.0
    foreign: float = 259_200.0


@dataclass(frozen=True, slots=True)
class MaintenancePolicy:
    """How tables are maintained.

    `sort_column`: what compacted files are sorted by, unless the table has a sort order.
    `background_bytes`: how much is merged at once beside ingest: it is all in memory.
    `ledger_url`: where retries look for snapshots, which are then not expired.
    """

    retention: Retention
    sort_column: str = "at"
    graces: Graces = field(default_factory=Graces)
    background_bytes: int = 32 * MIB
    ledger_url: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the policy that the settings describe."""
        return cls(
            retention=Retention(
                settings.snapshots_kept, round(settings.snapshots_kept_seconds * 1000)
            ),
            sort_column=settings.compaction_sort_column,
            graces=Graces(settings.orphan_grace_seconds, settings.foreign_orphan_grace_seconds),
            background_bytes=settings.compaction_max_bytes,
            ledger_url=settings.ledger_database,
        )


def target_bytes(metadata: TableMetadata) -> int:
    """Return the size that data files are merged to."""
    key = TableProperties.WRITE_TARGET_FILE_SIZE_BYTES
    return number(metadata.properties, key, DEFAULT_TARGET_BYTES)
