"""Types that pass between the folders: a batch, from a request to its acknowledgement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa

from lakegate.errors import ErrorCode, LakegateError

DEFAULT_DATABASE = "default"


@dataclass(frozen=True, slots=True)
class TableName:
    """A table in a database (an Iceberg namespace of one level)."""

    database: str
    table: str

    def __str__(self) -> str:
        """Return the name as in SQL: `database.table`."""
        return f"{self.database}.{self.table}"


@dataclass(frozen=True, slots=True)
class Body:
    """The encoded rows of one request.

    `schema_evolve`: whether unknown fields become columns of the table.
    """

    data: bytes
    schema_evolve: bool = True


@dataclass(frozen=True, slots=True)
class DecodedGroup:
    """The rows of several bodies as one Arrow table.

    `rows`: the rows of the valid bodies, in the order of the bodies. Its columns are those of the
    table's schema with their types (absent ones are null), and after them the new ones.
    `outcomes`: for each body the number of its rows, or its refusal.
    """

    rows: pa.Table
    outcomes: Sequence[int | LakegateError]


class TooLargeError(Exception):
    """Bodies with too many rows, or too many values; the message has the numbers.

    A decoder raises it for a group; each of the bodies alone may be small enough.
    """

    def refusal(self) -> LakegateError:
        """Return the refusal of a single body."""
        return LakegateError(
            ErrorCode.BODY_TOO_LARGE, f"{self}: split the body into smaller batches"
        )


class MemoryEstimate(NamedTuple):
    """What decoding bodies takes: uncompressed bytes, and values, nulls included."""

    size: int
    values: int


class Decoder(Protocol):
    """Decodes the bodies of one format into Arrow, a group at a time."""

    @property
    def default_schema(self) -> pa.Schema:
        """The columns of a table that is created for this format."""
        ...

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Decode `bodies` for a table of `schema`. Blocks; runs in a worker thread.

        Raises `TooLargeError` if the group has to be split.
        """
        ...

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Estimate what decoding `bodies` takes for a table of `columns` columns. Blocks."""
        ...


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """The place of a batch in its stream; offsets start at 0."""

    stream_id: str
    offset: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one request to a table: all of them are committed, or none.

    `auto_create`: whether a missing database or table is created.
    `idempotency_key`, `position`: identify a batch and its retries; a batch has at most one of
    them. A batch with one is keyed, a batch with none is unkeyed.
    `key_binds_body`: whether the key with another body is refused, rather than replayed.
    """

    table: TableName
    body: Body
    decoder: Decoder
    auto_create: bool = True
    idempotency_key: str | None = None
    key_binds_body: bool = False
    position: StreamPosition | None = None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The rows of a batch are in this snapshot; fields as in `lakegate.v1.Acknowledgement`."""

    snapshot_id: str
    extent_count: int
    rows_ingested: int
    bytes_written: int
    replayed: bool = False
