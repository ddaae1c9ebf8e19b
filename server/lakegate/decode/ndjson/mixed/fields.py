"""The fields of rows as one flat table, whatever mix of names the rows have."""

from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class FieldTable:
    """The fields of `rows` in their order: the columns `row`, `name` and `value`.

    `row` (int32) is the index of the row among its neighbours, `name` (a dictionary of
    strings, in which a name may occur twice) what the field is called, `value` (string)
    its JSON text, without whitespace between tokens.
    """

    row: pa.Array
    name: pa.DictionaryArray
    value: pa.Array

    @classmethod
    def none(cls) -> Self:
        """Return no fields."""
        nothing = pa.array([], pa.string())
        return cls(pa.array([], pa.int32()), nothing.dictionary_encode(), nothing)

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self.row)

    def repeats(self) -> bool:
        """Return whether a row has a name twice."""
        names = self.name.dictionary.dictionary_encode()  # so that each is there once
        codes = names.indices.take(self.name.indices).cast(pa.int64())
        pairs = pc.add(pc.multiply(self.row.cast(pa.int64()), len(names.dictionary)), codes)
        return bool(pc.count_distinct(pairs).as_py() < len(self))

    def filter(self, mask: pa.Array) -> Self:
        """Leave the fields out for which `mask` is false."""
        return type(self)(self.row.filter(mask), self.name.filter(mask), self.value.filter(mask))


def scatter(values: pa.Array, indices: pa.Array, length: int) -> pa.Array:
    """Return `length` values: each of `values` at its index, null elsewhere."""
    if len(values) == length:
        return values  # indices ascend, and none is there twice
    return values.take(pc.inverse_permutation(indices, max_index=length - 1))
