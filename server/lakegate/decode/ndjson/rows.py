"""The rows of a group, however they were read, put together as columns."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import mismatch
from lakegate.decode.ndjson.blocks import Appearance, Block
from lakegate.decode.ndjson.evolution import Evolution
from lakegate.decode.ndjson.refusals import Refusals
from lakegate.decode.router import Router
from lakegate.decode.text import LISTED_LINES, shorten
from lakegate.decode.values.casts import coerce
from lakegate.decode.values.json_column import JsonColumn, concatenate
from lakegate.decode.values.json_text import parse_line

_LONG_LINE = 1024 * 1024  # a longer one is not read again for the name of a field


class Members(NamedTuple):
    """The members that `props` gets for each row; `repeats`: one has a name twice."""

    texts: pa.Array
    repeats: bool


class Rows:
    """The rows of some blocks, one block after the other.

    Everything here is in that order, until `sort` puts rows back where they came
    from. A row that could not be read is in no block.
    """

    def __init__(self, blocks: Sequence[Block], router: Router) -> None:
        """Combine the rows of `blocks`; `router` has routed their fields."""
        self._blocks = blocks
        self._router = router
        self._rows = _concatenate([block.rows for block in blocks])
        self._known = [block.known for block in blocks]

    def convert(self, schema: pa.Schema, refusals: Refusals) -> dict[str, pa.Array]:
        """Return the columns of the table that occur, in its types; refuse what does not fit."""
        occurring = self.occurring
        return {
            column.name: self._convert(column, refusals)
            for column in schema
            if column.name in occurring
        }

    @property
    def occurring(self) -> set[str]:
        """The columns of the table that occur."""
        return {slot for known in self._known for slot in known}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def known(self, slot: str) -> JsonColumn | None:
        """Return the field that goes to a column of the table, if it occurs."""
        fields = [known.get(slot) for known in self._known]
        if not any(fields):
            return None
        blocks = zip(self._blocks, fields, strict=True)
        return concatenate([field or _nothing(block) for block, field in blocks])

    def appearances(self, evolution: Evolution) -> Iterator[Appearance]:
        """Return the fields that may become columns."""
        for block in self._blocks:
            yield from block.appearances(evolution)

    def resolve(self, evolution: Evolution) -> tuple[dict[str, pa.Array], "Members"]:
        """Return the texts of new columns, and for each row the members that `props` gets."""
        resolved = [block.resolve(evolution) for block in self._blocks]
        texts = {
            slot: _concatenate(
                [
                    part.columns.get(slot, _nothing(block)).text()
                    for block, part in zip(self._blocks, resolved, strict=True)
                ]
            )
            for slot in evolution.columns
        }
        members = _concatenate([part.members for part in resolved])
        return texts, Members(members, any(part.repeats for part in resolved))

    def where(self, mask: pa.Array, values: pa.Array) -> Iterator[tuple[int, str]]:
        """Return the rows for which `mask` is true, each with its value."""
        return _where(self._rows, mask, values)

    def of_bodies(self, evolution: Evolution) -> pa.Array:
        """Return for each row whether its body evolves the table."""
        return evolution.keeps_unknown(self._rows)

    def sort(self, table: pa.Table, keep: pa.Array | None) -> pa.Table:
        """Return the rows in the order of arrival, without those whose `keep` is false."""
        rows = self._rows
        if keep is not None:
            kept = keep.take(rows)
            table, rows = table.filter(kept), rows.filter(kept)
        if len(self._blocks) > 1:
            table = table.take(pc.sort_indices(rows))
        return table

    def _source(self, column: pa.Field, row: int, refusals: Refusals) -> str:
        """Return the field of a row that a column has its value from."""
        line = refusals.lines.text[row].as_py()
        if len(line) > _LONG_LINE:
            return f'column "{column.name}"'
        sent = [name for name, value in parse_line(line) if value != "null"]
        name = self._router.source(column.name, sent)
        return f'column "{name}"' if name == column.name else f'field "{name}"'

    def _convert(self, column: pa.Field, refusals: Refusals) -> pa.Array:
        parts = []
        for block, known in zip(self._blocks, self._known, strict=True):
            field = known.get(column.name)
            if field is None:
                parts.append(pa.nulls(len(block.rows), column.type))
                continue
            converted = coerce(field, column)
            parts.append(converted.values)
            if converted.misfits is not None:
                misfits = _where(block.rows, converted.misfits, field.json())
                for row, value in _first_of_bodies(misfits, refusals):
                    reason = mismatch(column, shorten(value))
                    refusals.add(row, f"{self._source(column, row, refusals)}: {reason}")
        return _concatenate(parts)


def _nothing(block: Block) -> JsonColumn:
    """Return a field that no row of a block has."""
    return JsonColumn(pa.nulls(len(block.rows), pa.string()), texts=True)


def _where(rows: pa.Array, mask: pa.Array, values: pa.Array) -> Iterator[tuple[int, str]]:
    """Return the rows for which `mask` is true, each with its value."""
    chosen = pc.indices_nonzero(mask)
    yield from zip(rows.take(chosen).to_pylist(), values.take(chosen).to_pylist(), strict=True)


def _first_of_bodies(
    values: Iterator[tuple[int, str]], refusals: Refusals
) -> Iterator[tuple[int, str]]:
    """Return the first rows of each body, as many as an error lists."""
    for _, of_body in groupby(values, key=lambda value: refusals.lines.body_of(value[0])):
        yield from islice(of_body, LISTED_LINES)


def _concatenate(arrays: Sequence[pa.Array]) -> pa.Array:
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)
