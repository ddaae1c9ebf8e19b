"""The column `props`: what a row sends in it, and the fields that have no column."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import is_dynamic, is_text
from lakegate.decode import standard_columns as types
from lakegate.decode.ndjson.evolution import Evolution
from lakegate.decode.ndjson.refusals import Refusals
from lakegate.decode.ndjson.rows import Rows
from lakegate.decode.text import shorten
from lakegate.decode.values.json_members import merge


def refuse_members(schema: pa.Schema, rows: Rows, members: pa.Array, refusals: Refusals) -> bool:
    """Refuse rows with members for a `props` that is no text; return whether there are new ones."""
    index = schema.get_field_index(types.PROPS)
    if index < 0 or is_text(schema.field(index).type):
        return False
    before = len(refusals)
    for row, text in rows.where(members.is_valid(), members):
        if not refusals.is_full(row):
            refusals.add(row, f'column "{types.PROPS}" is no JSON and cannot take {shorten(text)}')
    return len(refusals) > before


def column(
    schema: pa.Schema, rows: Rows, members: pa.Array, evolution: Evolution
) -> dict[str, pa.Array]:
    """Return the column `props` where members that rows have no column for change it.

    A table without it gets one as soon as it is needed, whatever the caps say.
    """
    index = schema.get_field_index(types.PROPS)
    own = rows.known(types.PROPS)
    if members.null_count == len(members) and (index >= 0 or own is None):
        return {}
    merged = merge(own.present() if own else pa.nulls(len(members), pa.string()), members)
    if index < 0:
        merged = pc.if_else(rows.of_bodies(evolution), merged, pa.scalar(None, pa.string()))
        return {} if merged.null_count == len(merged) else {types.PROPS: merged}
    target = schema.field(index)
    if own is not None and not is_dynamic(target):
        merged = pc.if_else(members.is_valid(), merged, own.text())
    return {types.PROPS: merged.cast(target.type)}
