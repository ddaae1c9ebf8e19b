"""What the ledger stores: entries, their claimants, and the results of commits."""

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
    """A table as the ledger identifies it: a table created again under its name is another."""

    database: str
    uuid: str

    @classmethod
    def of(cls, name: TableName, metadata: TableMetadata) -> "TableIdentity":
        """Return the identity of the table with this metadata."""
        return cls(name.database, str(metadata.table_uuid))


@dataclass(frozen=True, slots=True)
class Entry:
    """What identifies a keyed batch; its name is unique in a table.

    `body_digest`: SHA-256 of the body of a batch with an idempotency key; empty if not known.
    """

    name: str
    position: StreamPosition | None = None
    body_digest: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Claimant:
    """A commit that has claimed a batch, with its number of rows; `body_digest` as in `Entry`."""

    commit_id: str
    rows: int
    body_digest: str = ""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit has added, for the acknowledgements of all its batches."""

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
    """An entry in the ledger.

    `claimants`: every commit that may have applied the batch, the newest last; the others are
    displaced.
    `result`: what the commit of the newest claimant has added; None while the entry is pending.
    `lease_left_ms`: how long the lease of the newest claimant still runs.
    """

    entry: Entry
    claimants: tuple[Claimant, ...]
    result: CommitResult | None
    lease_left_ms: int

    @property
    def replay(self) -> Acknowledgement | None:
        """The acknowledgement for a retry, once the batch is applied."""
        if self.result is None:
            return None
        return self.result.acknowledgement(self.claimants[-1].rows, replayed=True)


def entry_of(batch: Batch) -> Entry | None:
    """Return the entry of a keyed batch; None for an unkeyed one.

    Blocks while it digests the body of a batch with an idempotency key.
    """
    if batch.position is not None:
        return stream_entry(batch.position)
    if batch.idempotency_key is not None:
        digest = sha256(batch.body.data).hexdigest()
        return Entry(f"key/{batch.idempotency_key}", body_digest=digest)
    return None


def is_keyed(batch: Batch) -> bool:
    """Return whether the batch has an idempotency key or a place in a stream."""
    return batch.idempotency_key is not None or batch.position is not None


def stream_entry(position: StreamPosition) -> Entry:
    """Return the entry of the batch at a place in a stream."""
    return Entry(f"stream/{position.offset}/{position.stream_id}", position)


def commits_of(metadata: TableMetadata) -> Mapping[str, Snapshot]:
    """Return the snapshots of a table by the commit ids in their summaries."""
    return {
        commit_id: snapshot
        for snapshot in metadata.snapshots
        if (commit_id := commit_id_of(snapshot)) is not None
    }


def commit_id_of(snapshot: Snapshot) -> str | None:
    """Return the id of the commit that made a snapshot; None if it is not one of Lakegate's."""
    return snapshot.summary.additional_properties.get(COMMIT_ID) if snapshot.summary else None


def result_of(snapshot: Snapshot) -> CommitResult:
    """Return what the commit of a snapshot has added, from its summary."""
    properties = snapshot.summary.additional_properties if snapshot.summary else {}
    return CommitResult(
        snapshot_id=str(snapshot.snapshot_id),
        extent_count=int(properties.get("added-data-files", 0)),
        bytes_written=int(properties.get("added-files-size", 0)),
    )
