"""The column `props`: what a row sends in it, and the fields that have no column."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode import types
from lakegate.decode.evolution import Evolution
from lakegate.decode.members import merge
from lakegate.decode.refusals import Refusals, shorten
from lakegate.decode.rows import Rows


def refuse_members(schema: pa.Schema, rows: Rows, members: pa.Array, refusals: Refusals) -> bool:
    """Refuse rows with members for a `props` that is no text; tell whether there are new ones."""
    index = schema.get_field_index(types.PROPS)
    if index < 0 or types.is_text(schema.field(index).type):
        return False
    before = len(refusals)
    for row, text in rows.where(members.is_valid(), members):
        if not refusals.is_full(row):
            refusals.add(row, f'column "{types.PROPS}" is no JSON and cannot take {shorten(text)}')
    return len(refusals) > before


def column(
    schema: pa.Schema, rows: Rows, members: pa.Array, evolution: Evolution
) -> dict[str, pa.Array]:
    """Give the column `props` with the members that rows have no column for.

    A table without it gets one as soon as it is needed, whatever the caps say.
    """
    index = schema.get_field_index(types.PROPS)
    own = rows.known(types.PROPS)
    if index >= 0:
        if members.null_count == len(members):
            return {}  # as it was converted
        target = schema.field(index)
    else:
        target = types.dynamic_field(types.PROPS)
    json = own.present() if own else pa.nulls(len(members), pa.string())
    merged = merge(json, members)
    if index >= 0 and not types.is_dynamic(target) and own is not None:
        merged = pc.if_else(members.is_valid(), merged, own.text())
    if index < 0:
        merged = pc.if_else(rows.of_bodies(evolution), merged, pa.scalar(None, pa.string()))
        if merged.null_count == len(merged):
            return {}
    return {types.PROPS: merged.cast(target.type)}
