"""What passes between the rooms: a batch on its way from the wire to a snapshot."""

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
        """Return the name as SQL would: `database.table`."""
        return f"{self.database}.{self.table}"


@dataclass(frozen=True, slots=True)
class Body:
    """The rows of one request, still encoded.

    `schema_evolve`: whether fields that the table does not know become columns.
    """

    data: bytes
    schema_evolve: bool = True


@dataclass(frozen=True, slots=True)
class DecodedGroup:
    """The rows of many bodies as one Arrow table.

    `rows` holds the rows of the good bodies only, in the order of the bodies.
    Its columns are columns of the table's schema in that schema's types
    (absent columns are null), and after them the new ones.
    `outcomes` has for each body the number of its rows, or why it is refused.
    """

    rows: pa.Table
    outcomes: Sequence[int | LakegateError]


class TooLargeError(Exception):
    """Bodies with too many rows, or too many rows times columns; the message says how many.

    A decoder raises it for a group, each body of which may do alone.
    """

    def refusal(self) -> LakegateError:
        """Return the refusal of a single body."""
        return LakegateError(
            ErrorCode.BODY_TOO_LARGE, f"{self}: split the body into smaller batches"
        )


class MemoryEstimate(NamedTuple):
    """What decoding bodies takes: their bytes uncompressed, and their values, nulls included."""

    size: int
    cells: int


class Decoder(Protocol):
    """Turns the bodies of one format into Arrow, a group at a time."""

    @property
    def default_schema(self) -> pa.Schema:
        """The columns of a table that is made for this format."""
        ...

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Decode `bodies` for a table of `schema`. Blocks; runs in a worker thread.

        Raises `TooLargeError` where the group is too large, and so has to be split.
        """
        ...

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Estimate what decoding `bodies` takes, for a table of so many columns. Blocks."""
        ...


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """A place in a stream of batches: each is the `offset`-th of its stream, from 0."""

    stream_id: str
    offset: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One request on its way into a table: all of it is committed, or nothing.

    `auto_create`: whether a missing database or table is made.
    `idempotency_key`, `position`: what tells a retry from a new batch; one of the two, or none.
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
    """The rows of a batch are in this snapshot.

    Shapes and units are those of `lakegate.v1.Acknowledgement`.
    """

    snapshot_id: str
    extent_count: int
    rows_ingested: int
    bytes_written: int
    replayed: bool = False
