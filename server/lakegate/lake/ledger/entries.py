"""What the ledger knows a batch by, and what it knows of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from lakegate.model import Acknowledgement, Batch, StreamPosition, TableName

# In the summary of a snapshot: the id of the commit that made it.
COMMIT_ID = "lakegate.commit-id"
UINT32_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class TableIdentity:
    """A table as the ledger knows it: one that is made anew under the same name is another."""

    database: str
    uuid: str

    @classmethod
    def of(cls, name: TableName, metadata: TableMetadata) -> "TableIdentity":
        """Return the identity of the table that has this metadata."""
        return cls(name.database, str(metadata.table_uuid))


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch's name in the ledger, one of its kind in a table.

    `body_digest`: SHA-256 of the body of a batch with a key; empty where it is not known.
    """

    name: str
    position: StreamPosition | None = None
    body_digest: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Claimant:
    """A commit that has, or would have, `rows` rows of a batch; `body_digest` as in `Entry`."""

    commit_id: str
    rows: int
    body_digest: str = ""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What the acknowledgements of all batches of one commit have in common."""

    snapshot_id: str
    extent_count: int
    bytes_written: int

    def acknowledgement(self, rows: int, *, replayed: bool = False) -> Acknowledgement:
        """Return the acknowledgement of a batch of `rows` rows."""
        return Acknowledgement(
            snapshot_id=self.snapshot_id,
            extent_count=min(self.extent_count, UINT32_MAX) if rows else 0,
            rows_ingested=rows,
            bytes_written=min(self.bytes_written, UINT32_MAX) if rows else 0,
            replayed=replayed,
        )


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as the ledger has it.

    `claimants`: every commit that may have applied the batch, the newest last.
    `committed`: what the newest attempt came to; None while it is pending.
    `lease_left_ms`: how long the claimant of the newest attempt is waited for.
    """

    entry: Entry
    claimants: tuple[Claimant, ...]
    committed: CommitResult | None
    lease_left_ms: int

    @property
    def replay(self) -> Acknowledgement | None:
        """The acknowledgement for a retry, once the batch is applied."""
        if self.committed is None:
            return None
        return self.committed.acknowledgement(self.claimants[-1].rows, replayed=True)


def entry_of(batch: Batch) -> Entry | None:
    """Name a batch by its key or by its place in a stream; one without either has no entry.

    Blocks for as long as it takes to digest the body of a batch with a key.
    """
    if batch.position is not None:
        return stream_entry(batch.position)
    if batch.idempotency_key is not None:
        digest = sha256(batch.body.data).hexdigest()
        return Entry(f"key/{batch.idempotency_key}", body_digest=digest)
    return None


def is_keyed(batch: Batch) -> bool:
    """Whether a retry of the batch can be told from a new one."""
    return batch.idempotency_key is not None or batch.position is not None


def stream_entry(position: StreamPosition) -> Entry:
    """Name the batch at a place of a stream."""
    return Entry(f"stream/{position.offset}/{position.stream_id}", position)


def commits_of(metadata: TableMetadata) -> Mapping[str, Snapshot]:
    """Return the snapshots of a table by the commit ids in their summaries."""
    return {
        commit_id: snapshot
        for snapshot in metadata.snapshots
        if (commit_id := commit_id_of(snapshot)) is not None
    }


def commit_id_of(snapshot: Snapshot) -> str | None:
    """Return the id of the commit that made a snapshot, where it was one of Lakegate's."""
    return snapshot.summary.additional_properties.get(COMMIT_ID) if snapshot.summary else None


def committed_by(snapshot: Snapshot) -> CommitResult:
    """Read off a snapshot what its commit came to."""
    properties = snapshot.summary.additional_properties if snapshot.summary else {}
    return CommitResult(
        snapshot_id=str(snapshot.snapshot_id),
        extent_count=int(properties.get("added-data-files", 0)),
        bytes_written=int(properties.get("added-files-size", 0)),
    )
