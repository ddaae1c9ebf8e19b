"""What an Arrow IPC stream claims to be once it is read: bytes, values, and what encodings hide.

Arrow reads uncompressed buffers in place and checks that they lie within the stream. It takes
on trust how large a compressed buffer becomes, how many values an array without buffers has,
and how often a value of a dictionary is referenced.
"""

from collections.abc import Mapping
from typing import NamedTuple

from lakegate.decode import limits
from lakegate.decode.arrow.buffers import Batch
from lakegate.decode.arrow.layout import Layout
from lakegate.decode.arrow.messages import DICTIONARY_BATCH, RECORD_BATCH, SCHEMA, messages
from lakegate.decode.arrow.schema import Field, SchemaReader, with_dictionary
from lakegate.errors import ErrorCode, LakegateError

_ROWS_PER_BYTE = 8  # a column of booleans without nulls
_MAX_ARRAYS = 1_000_000  # each is an object of some hundred bytes


class Claims(NamedTuple):
    """What a stream takes.

    `size`: the bytes of its buffers, uncompressed.
    `values`: nulls, dictionaries and nested values included.
    `expanded`: an upper bound of the bytes of columns whose encoding has to be expanded.
    `names`: the bytes of the names of columns, once for each row: rows may be written as JSON.
    """

    size: int
    rows: int
    values: int
    expanded: int = 0
    names: int = 0


def read_claims(data: bytes, max_bytes: int) -> Claims:
    """Return what a stream takes; reads no more than the headers of its messages.

    Raises `ValueError` for what is no stream, `TooLargeError` for too many values, and
    `LakegateError` where the buffers take more than `max_bytes`.
    """
    reader = _ClaimsReader(max_bytes)
    for message in messages(data):
        if message.type == SCHEMA:
            reader.read_schema(SchemaReader().read(message.header))
        elif message.type == DICTIONARY_BATCH:
            reader.read_dictionary(message.header.number(0, "<q"), Batch.of_dictionary(message))
        elif message.type == RECORD_BATCH:
            reader.read_rows(Batch(message.header, message.body))
        else:
            raise ValueError(f"messages of type {message.type} are not supported")
    return reader.claims


class _ClaimsReader:
    """Adds up what batches claim."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._columns: list[Field] = []
        self._dictionaries: Mapping[int, Field] = {}
        self._longest: dict[int, int] = {}  # of the values of each dictionary
        self._arrays = 0
        self.claims = Claims(0, 0, 0)

    def read_schema(self, columns: list[Field]) -> None:
        if self._columns:
            raise ValueError("it has more than one schema")
        self._columns = columns
        self._dictionaries = with_dictionary(columns)

    def read_dictionary(self, id_: int, batch: Batch) -> None:
        self._add(batch)
        if id_ not in self._dictionaries:
            raise ValueError(f"no column has the dictionary {id_}")
        extent = Layout(batch, self._longest).extent(self._dictionaries[id_])
        self._longest[id_] = max(extent.longest, self._longest.get(id_, 0))

    def read_rows(self, batch: Batch) -> None:
        if not 0 <= batch.rows <= _ROWS_PER_BYTE * batch.size:
            raise ValueError(f"A batch of {batch.size} bytes claims {batch.rows} rows")
        self._add(batch, batch.rows)
        names = batch.rows * sum(column.name_size for column in self._columns)
        self.claims = self.claims._replace(names=self.claims.names + names)
        if any(column.is_encoded for column in self._columns):
            layout = Layout(batch, self._longest)
            extents = [(column, layout.extent(column)) for column in self._columns]
            expanded = sum(extent.size for column, extent in extents if column.is_encoded)
            self.claims = self.claims._replace(expanded=self.claims.expanded + expanded)

    def _add(self, batch: Batch, rows: int = 0) -> None:
        claims = self.claims
        self.claims = claims._replace(
            size=claims.size + batch.size,
            rows=claims.rows + rows,
            values=claims.values + batch.values,
        )
        self._arrays += batch.arrays
        if self._arrays > _MAX_ARRAYS:
            raise ValueError(f"it has more than {_MAX_ARRAYS} arrays: columns times batches")
        if self.claims.size > self._max_bytes:
            raise LakegateError(
                ErrorCode.BODY_TOO_LARGE,
                f"The body takes more than {self._max_bytes} bytes uncompressed",
            )
        limits.check_cells(self.claims.rows, len(self._columns))
        limits.check_values(self.claims.values)
