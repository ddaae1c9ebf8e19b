"""The Arrow table that a body is."""

import pyarrow as pa

from lakegate.decode.tabular.fit import fit
from lakegate.decode.tabular.normalize import Normalizer
from lakegate.decode.tabular.to_json import JsonWriter


class ArrowSource:
    """A table whose columns have Arrow types of their own."""

    def __init__(self, table: pa.Table, max_bytes: int) -> None:
        """Take the rows; refuse what takes more than `max_bytes` once encodings are expanded."""
        self.table = table
        self._normalizer = Normalizer(max_bytes)
        self._writer = JsonWriter()

    def normalize(self, array: pa.Array) -> pa.Array:
        """Return the values in a type that Iceberg has."""
        return self._normalizer.normalize(array)

    def fit(self, array: pa.Array, column: pa.Field) -> pa.Array:
        """Return normalized values in the type of a column."""
        return fit(array, column, self._writer)

    def to_json(self, array: pa.Array) -> pa.Array:
        """Return normalized values as JSON texts."""
        return self._writer.to_json(array)
