"""Settings of commits, of the maintenance of tables, and of the ledger."""

from pydantic import BaseModel, Field

from lakegate.settings.units import MIB


class LakeSettings(BaseModel):
    """How batches are committed, tables maintained, and retries recognized."""

    # Commits
    group_max_bytes: int = Field(
        default=128 * MIB,
        ge=1,
        description="The limit for all bodies of one commit, in bytes.",
    )
    commit_interval_ms: int = Field(
        default=20,
        ge=0,
        description=(
            "The minimum time between two commits of a busy table, in milliseconds; "
            "an idle table commits at once."
        ),
    )
    commit_attempts: int = Field(
        default=20, ge=1, description="How often a commit is attempted after conflicts."
    )

    fsync: bool = Field(
        default=True,
        description=(
            "Whether the embedded catalog syncs files to the disk before a commit references them; "
            "false risks acknowledged rows in a power failure."
        ),
    )

    # Maintenance of tables
    snapshots_kept: int = Field(
        default=100,
        ge=1,
        description=(
            "How many snapshots a table keeps, unless it has the property "
            "history.expire.max-snapshot-age-ms."
        ),
    )
    snapshots_kept_seconds: float = Field(
        default=60.0,
        ge=0,
        description=(
            "How long each snapshot is kept at least, in seconds, regardless of their number: "
            "a DELETE, MERGE or OPTIMIZE of another engine fails if it takes longer."
        ),
    )
    maintenance_interval_seconds: float = Field(
        default=60.0,
        ge=0,
        description="How often tables are checked for small files, in seconds; 0 is never.",
    )
    compaction_sort_column: str = Field(
        default="at",
        description="The sort column of merged files, in tables without a sort order.",
    )
    compaction_max_bytes: int = Field(
        default=32 * MIB,
        ge=1,
        description=(
            "The largest size of the files that a server merges at once, in bytes; their rows may "
            "take four times as much memory. `lakegate maintain` merges to the table's target size."
        ),
    )
    orphan_grace_seconds: float = Field(
        default=3600.0,
        ge=60,
        description=(
            "How long a file of Lakegate must be unreferenced before it is deleted, in seconds: "
            "readers may still use it."
        ),
    )
    foreign_orphan_grace_seconds: float = Field(
        default=259_200.0,
        ge=60,
        description=(
            "The same for files of other engines, which may not have committed them yet; must be "
            "longer than their longest job."
        ),
    )

    # The ledger
    ledger_url: str = Field(
        default="",
        description=(
            "The database of idempotency keys, streams and tokens, as an SQLAlchemy URL of SQLite "
            "or PostgreSQL; servers of the same tables share one. Empty: ledger.db under the home."
        ),
    )
    ledger_ttl_hours: float = Field(
        default=24.0,
        gt=0,
        description="The minimum time that a key is kept, in hours.",
    )
    ledger_stream_ttl_hours: float = Field(
        default=720.0,
        gt=0,
        description="The minimum time that a stream is kept after its last batch, in hours.",
    )
    ledger_lease_seconds: float = Field(
        default=15.0,
        ge=0,
        description="How long a retry waits for another server that holds its key, in seconds.",
    )
