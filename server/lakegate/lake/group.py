"""The members of a group commit: batches that wait, each for its own answer."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pyiceberg.manifest import DataFile

from lakegate.batches import Acknowledgement, Batch, Decoder
from lakegate.errors import LakegateError
from lakegate.lake.data_files import total_size
from lakegate.lake.table_state import TableState

UINT32_MAX = 2**32 - 1


@dataclass(eq=False, slots=True)
class Member:
    """A batch and the future that its sender waits for."""

    batch: Batch
    answer: asyncio.Future[Acknowledgement]

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return len(self.batch.body.data)

    @property
    def waiting(self) -> bool:
        """Whether the sender is still there and unanswered."""
        return not self.answer.done()

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Answer, unless the sender is gone."""
        if self.waiting:
            self.answer.set_result(acknowledgement)

    def refuse(self, error: LakegateError) -> None:
        """Answer with an error of its own, unless the sender is gone."""
        if self.waiting:
            self.answer.set_exception(_copy(error))


@dataclass(eq=False, slots=True)
class PreparedGroup:
    """The good members of a group: their rows are in `files`, which are no table's yet."""

    table: TableState | None = None
    files: list[DataFile] = field(default_factory=list)
    rows: list[tuple[Member, int]] = field(default_factory=list)

    @property
    def members(self) -> list[Member]:
        """The members whose rows are in the files."""
        return [member for member, _ in self.rows]

    def add_files(self, table: TableState, files: Sequence[DataFile]) -> None:
        """Take files that were written for `table`."""
        self.table = table
        self.files.extend(files)

    def add_outcomes(
        self, members: Sequence[Member], outcomes: Sequence[int | LakegateError]
    ) -> None:
        """Take the members whose rows are good; answer the others."""
        for member, outcome in zip(members, outcomes, strict=True):
            if isinstance(outcome, LakegateError):
                member.refuse(outcome)
            else:
                self.rows.append((member, outcome))

    def acknowledge(self, snapshot_id: str) -> None:
        """Tell every member that its rows are in the snapshot."""
        extent_count = min(len(self.files), UINT32_MAX)
        bytes_written = min(total_size(self.files), UINT32_MAX)
        for member, rows in self.rows:
            member.acknowledge(
                Acknowledgement(
                    snapshot_id=snapshot_id,
                    extent_count=extent_count if rows else 0,
                    rows_ingested=rows,
                    bytes_written=bytes_written if rows else 0,
                )
            )


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


def _copy(error: LakegateError) -> LakegateError:
    """Give each sender an exception of its own: a traceback grows where one is raised."""
    return LakegateError(
        error.code,
        error.message,
        violations=error.violations,
        retry_after_seconds=error.retry_after_seconds,
    )
