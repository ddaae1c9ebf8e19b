"""The batches of a group that are good, with the data files that hold their rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyiceberg.manifest import DataFile
from pyiceberg.table.metadata import TableMetadata

from lakegate.errors import LakegateError
from lakegate.lake.commit.fence import Baseline
from lakegate.lake.commit.queued_batch import QueuedBatch
from lakegate.lake.failures import TableChangedError, TableReplacedError
from lakegate.lake.files.data_files import total_size
from lakegate.lake.ledger.entries import CommitResult
from lakegate.lake.table.state import TableState


@dataclass(eq=False, slots=True)
class PreparedGroup:
    """The good batches of a group: their rows are in `files`, which are no table's yet.

    `deferred`: batches that are too much for this commit.
    """

    table: TableState | None = None
    files: list[DataFile] = field(default_factory=list)
    rows: list[tuple[QueuedBatch, int]] = field(default_factory=list)
    deferred: list[QueuedBatch] = field(default_factory=list)
    # Where the table stood before the first file was begun: see `lakegate.lake.commit.fence`.
    baseline: Baseline = field(default_factory=lambda: Baseline("", None))

    @property
    def batches(self) -> list[QueuedBatch]:
        """The batches whose rows are in the files."""
        return [queued for queued, _ in self.rows]

    def add_files(self, table: TableState, files: Sequence[DataFile]) -> None:
        """Take files that were written for `table`. Raises as `check_fits`."""
        if files:
            self.check_fits(table)
            if not self.files:
                self.baseline = Baseline.of(table.metadata)
            self.table = table
            self.files.extend(files)

    def check_fits(self, table: TableState) -> None:
        """Check that the files are what the rows would be written to now.

        Columns that were added since do not matter. Raises `TableReplacedError` and
        `TableChangedError`.
        """
        written_for = self.table
        if written_for is None:
            return
        if table.uuid != written_for.uuid:
            raise TableReplacedError(str(table.uuid))
        before, now = written_for.metadata, table.metadata
        if before.default_spec_id != now.default_spec_id or (
            before.current_schema_id != now.current_schema_id
            and not _columns(before) <= _columns(now)
        ):
            raise TableChangedError(str(table.uuid))

    def add_outcomes(
        self, batches: Sequence[QueuedBatch], outcomes: Sequence[int | LakegateError]
    ) -> None:
        """Take the batches whose rows are good; answer the others."""
        for queued, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, LakegateError):
                queued.refuse(outcome)
            else:
                self.rows.append((queued, outcome))

    def committed(self, snapshot_id: str) -> CommitResult:
        """Describe the commit of the files."""
        return CommitResult(snapshot_id, len(self.files), total_size(self.files))

    def acknowledge(self, committed: CommitResult) -> None:
        """Acknowledge every queued."""
        for queued, rows in self.rows:
            queued.acknowledge(committed.acknowledgement(rows))


def _columns(metadata: TableMetadata) -> set[tuple[int, str, str]]:
    """Return id, name and type of each column."""
    return {
        (column.field_id, column.name, str(column.field_type))
        for column in metadata.schema().fields
    }
