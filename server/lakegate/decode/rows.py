"""The rows of a group, however they were read, put together as columns."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode import types
from lakegate.decode.blocks import Appearance, Block, Resolved
from lakegate.decode.coerce import coerce
from lakegate.decode.evolution import Evolution
from lakegate.decode.fields import Field, concatenate
from lakegate.decode.refusals import Refusals, shorten


class Rows:
    """The rows of some blocks, one block after the other.

    Everything here is in that order, until `sort` puts rows back where they came
    from. A row that could not be read is in no block.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        """Put the rows of `blocks` together."""
        self._blocks = blocks
        self._rows = _concatenate([block.rows for block in blocks], pa.int64())
        self._known = self._join([block.known for block in blocks])

    def convert(self, schema: pa.Schema, refusals: Refusals) -> dict[str, pa.Array]:
        """Give the columns of the table that occur, in its types; refuse what does not fit."""
        return {
            column.name: self._convert(self._known[column.name], column, refusals)
            for column in schema
            if column.name in self._known
        }

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self._rows)

    def known(self, slot: str) -> Field | None:
        """Give the field that goes to a column of the table, if it occurs."""
        return self._known.get(slot)

    def appearances(self) -> Iterator[Appearance]:
        """Give the fields that may become columns."""
        for block in self._blocks:
            yield from block.appearances()

    def resolve(self, evolution: Evolution) -> Resolved:
        """Give what goes to new columns and what to `props`."""
        resolved = [block.resolve(evolution) for block in self._blocks]
        return Resolved(
            self._join([part.columns for part in resolved]),
            _concatenate([part.members for part in resolved], pa.string()),
        )

    def where(self, mask: pa.Array, values: pa.Array) -> Iterator[tuple[int, str]]:
        """Give the rows for which `mask` is true, each with its value."""
        chosen = pc.indices_nonzero(mask)
        yield from zip(
            self._rows.take(chosen).to_pylist(), values.take(chosen).to_pylist(), strict=True
        )

    def of_bodies(self, evolution: Evolution) -> pa.Array:
        """Tell for each row whether its body evolves the table."""
        return evolution.keeps_unknown(self._rows)

    def sort(self, table: pa.Table, keep: pa.Array | None) -> pa.Table:
        """Put rows in the order in which they came; leave out those that `keep` has false for."""
        rows = self._rows
        if keep is not None:
            kept = keep.take(rows)
            table, rows = table.filter(kept), rows.filter(kept)
        if len(self._blocks) > 1:
            table = table.take(pc.sort_indices(rows))
        return table

    def _convert(self, field: Field, column: pa.Field, refusals: Refusals) -> pa.Array:
        converted = coerce(field, column)
        if converted.misfits is not None:
            expected = types.expectation(column)
            for row, value in self.where(converted.misfits, field.json()):
                refusals.add(
                    row, f'column "{column.name}": expected {expected}, got {shorten(value)}'
                )
        return converted.values

    def _join(self, parts: Sequence[Mapping[str, Field]]) -> dict[str, Field]:
        """Put the fields of blocks together; a block without a field has nulls."""
        joined = {}
        for slot in dict.fromkeys(slot for part in parts for slot in part):
            fields = [
                part.get(slot) or Field(pa.nulls(len(block.rows), pa.string()), unquoted=True)
                for block, part in zip(self._blocks, parts, strict=True)
            ]
            joined[slot] = concatenate(fields)
        return joined


def _concatenate(arrays: Sequence[pa.Array], type_: pa.DataType) -> pa.Array:
    if len(arrays) == 1:
        return arrays[0]
    return pa.concat_arrays(arrays) if arrays else pa.array([], type_)
