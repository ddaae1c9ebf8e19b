"""A prepared group: its accepted batches, and the data files with their rows."""

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
    """The accepted batches of a group; no snapshot references the files yet.

    `table`: the state that the files were written for.
    `rows`: the batches, with their numbers of rows.
    `deferred`: batches for a later commit: they exceed a limit of this one, or the table changed.
    `baseline`: the table before the first file was begun; see `lakegate.lake.commit.fence`.
    """

    table: TableState | None = None
    files: list[DataFile] = field(default_factory=list)
    rows: list[tuple[QueuedBatch, int]] = field(default_factory=list)
    deferred: list[QueuedBatch] = field(default_factory=list)
    baseline: Baseline = field(default_factory=lambda: Baseline("", None))

    @property
    def batches(self) -> list[QueuedBatch]:
        """The batches whose rows are in the files."""
        return [queued for queued, _ in self.rows]

    def add_files(self, table: TableState, files: Sequence[DataFile]) -> None:
        """Add files that were written for `table`. Raises as `check_fits`."""
        if files:
            self.check_fits(table)
            if not self.files:
                self.baseline = Baseline.of(table.metadata)
            self.table = table
            self.files.extend(files)

    def check_fits(self, table: TableState) -> None:
        """Check that `table` still has the columns and the partitioning of the files.

        It may have more columns. Raises `TableReplacedError` and `TableChangedError`.
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
        """Accept the batches whose rows are valid; refuse the others."""
        for queued, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, LakegateError):
                queued.refuse(outcome)
            else:
                self.rows.append((queued, outcome))

    def result(self, snapshot_id: str) -> CommitResult:
        """Return what a commit of the files to this snapshot results in."""
        return CommitResult(snapshot_id, len(self.files), total_size(self.files))

    def acknowledge(self, result: CommitResult) -> None:
        """Acknowledge every batch."""
        for queued, rows in self.rows:
            queued.acknowledge(result.acknowledgement(rows))


def _columns(metadata: TableMetadata) -> set[tuple[int, str, str, bool]]:
    """Return id, name and type of each column, and whether it is required."""
    return {
        (column.field_id, column.name, str(column.field_type), column.required)
        for column in metadata.schema().fields
    }
