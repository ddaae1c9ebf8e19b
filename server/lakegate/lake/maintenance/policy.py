"""How tables are maintained."""

from dataclasses import dataclass, field
from typing import Self

from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import TableMetadata

from lakegate.lake.catalog.numeric_properties import number
from lakegate.lake.table.retention import Retention
from lakegate.settings import Settings
from lakegate.settings.units import MIB

DEFAULT_TARGET_BYTES = 128 * MIB


@dataclass(frozen=True, slots=True)
class GracePeriods:
    """How long unreferenced files are kept, in seconds.

    `own`: files that Lakegate wrote. `foreign`: all others, because a running job of another
    engine may still commit them.
    """

    own: float = 3600.0
    foreign: float = 259_200.0


@dataclass(frozen=True, slots=True)
class MaintenancePolicy:
    """How tables are maintained.

    `sort_column`: the sort column of compacted files in tables without a sort order.
    `background_bytes`: the size of the files that are merged at once, in memory, in the background.
    `ledger_url`: the ledger. Snapshots that a retry may need to find are not expired.
    """

    retention: Retention
    sort_column: str = "at"
    grace_periods: GracePeriods = field(default_factory=GracePeriods)
    background_bytes: int = 32 * MIB
    ledger_url: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the policy of the settings."""
        return cls(
            retention=Retention(
                settings.snapshots_kept, round(settings.snapshots_kept_seconds * 1000)
            ),
            sort_column=settings.compaction_sort_column,
            grace_periods=GracePeriods(
                settings.orphan_grace_seconds, settings.foreign_orphan_grace_seconds
            ),
            background_bytes=settings.compaction_max_bytes,
            ledger_url=settings.ledger_database,
        )


def target_bytes(metadata: TableMetadata) -> int:
    """Return the target size of merged data files."""
    key = TableProperties.WRITE_TARGET_FILE_SIZE_BYTES
    return number(metadata.properties, key, DEFAULT_TARGET_BYTES)
