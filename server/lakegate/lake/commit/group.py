"""The members of a group commit: batches that wait, each for its own answer."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pyiceberg.manifest import DataFile
from pyiceberg.table.metadata import TableMetadata

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.commit.candidate import Candidate
from lakegate.lake.commit.fence import Begun
from lakegate.lake.failures import TableChangedError, TableReplacedError, outcome_unknown
from lakegate.lake.files.data_files import total_size
from lakegate.lake.ledger.entries import Committed
from lakegate.lake.table.state import TableState
from lakegate.model import Acknowledgement, Batch, Decoder

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Member:
    """A batch and the future that its sender waits for.

    `candidate`: where the batch is to be applied once, what is known of that.
    `sent`: whether a commit with its rows may have reached the catalog.
    `in_doubt`: whether such a commit was given up, and may still come through.
    """

    batch: Batch
    answer: asyncio.Future[Acknowledgement]
    candidate: Candidate | None = None
    sent: bool = False
    in_doubt: bool = False

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return len(self.batch.body.data)

    @property
    def waiting(self) -> bool:
        """Whether the sender is still there and unanswered."""
        return not self.answer.done()

    def acknowledge(self, acknowledgement: Acknowledgement, applied_digest: str = "") -> None:
        """Answer, unless the sender is gone; `applied_digest` as in `Candidate.end`."""
        if self.candidate:
            self.candidate.end(acknowledgement, applied_digest)
        if self.waiting:
            self.answer.set_result(acknowledgement)
        else:
            log.info(
                "%d rows are in snapshot %s of %s, but their sender is gone",
                acknowledgement.rows_ingested,
                acknowledgement.snapshot_id,
                self.batch.table,
            )

    def refuse(self, error: LakegateError) -> None:
        """Answer with an error of its own, unless the sender is gone."""
        if self.in_doubt:
            error = outcome_unknown()
        if self.candidate and error.code is ErrorCode.OUTCOME_UNKNOWN:
            self.candidate.in_doubt = True
        self.leave()
        if self.waiting:
            self.answer.set_exception(_copy(error))

    def leave(self) -> None:
        """Abandon the batch; its retry may take its place."""
        if self.candidate:
            self.candidate.end(None)


@dataclass(eq=False, slots=True)
class PreparedGroup:
    """The good members of a group: their rows are in `files`, which are no table's yet.

    `deferred`: members that are too much for this commit.
    """

    table: TableState | None = None
    files: list[DataFile] = field(default_factory=list)
    rows: list[tuple[Member, int]] = field(default_factory=list)
    deferred: list[Member] = field(default_factory=list)
    # Where the table stood before the first file was begun: see `lakegate.lake.commit.fence`.
    begun: Begun = field(default_factory=lambda: Begun("", None))

    @property
    def members(self) -> list[Member]:
        """The members whose rows are in the files."""
        return [member for member, _ in self.rows]

    def add_files(self, table: TableState, files: Sequence[DataFile]) -> None:
        """Take files that were written for `table`. Raises as `check_fits`."""
        if files:
            self.check_fits(table)
            if not self.files:
                self.begun = Begun.on(table.metadata)
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
        self, members: Sequence[Member], outcomes: Sequence[int | LakegateError]
    ) -> None:
        """Take the members whose rows are good; answer the others."""
        for member, outcome in zip(members, outcomes, strict=True):
            if isinstance(outcome, LakegateError):
                member.refuse(outcome)
            else:
                self.rows.append((member, outcome))

    def committed(self, snapshot_id: str) -> Committed:
        """Describe the commit of the files."""
        return Committed(snapshot_id, len(self.files), total_size(self.files))

    def acknowledge(self, committed: Committed) -> None:
        """Acknowledge every member."""
        for member, rows in self.rows:
            member.acknowledge(committed.acknowledgement(rows))


def _columns(metadata: TableMetadata) -> set[tuple[int, str, str]]:
    """Return id, name and type of each column."""
    return {
        (column.field_id, column.name, str(column.field_type))
        for column in metadata.schema().fields
    }


def by_decoder(members: Iterable[Member]) -> list[tuple[Decoder, list[Member]]]:
    """Group members by the object that decodes them, in the order of arrival."""
    groups: dict[int, tuple[Decoder, list[Member]]] = {}
    for member in members:
        decoder = member.batch.decoder
        groups.setdefault(id(decoder), (decoder, []))[1].append(member)
    return list(groups.values())


def refuse(members: Iterable[Member], error: LakegateError) -> None:
    """Answer all members with the same error."""
    for member in members:
        member.refuse(error)


def named(members: Iterable[Member]) -> list[Member]:
    """Return the members whose retry can be told from a new batch."""
    return [member for member in members if member.candidate is not None]


def unnamed(members: Iterable[Member]) -> list[Member]:
    """Return the members whose retry cannot be told from a new batch."""
    return [member for member in members if member.candidate is None]


def _copy(error: LakegateError) -> LakegateError:
    """Copy the error for each sender: a traceback grows where one is raised."""
    return LakegateError(
        error.code,
        error.message,
        violations=error.violations,
        retry_after_seconds=error.retry_after_seconds,
        metadata=error.metadata,
    )
