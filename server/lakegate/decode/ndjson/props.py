"""The column `props`: what a row sends in it, and the fields that have no column."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import is_dynamic, is_text
from lakegate.decode import standard_columns as types
from lakegate.decode.ndjson.engine import Engine
from lakegate.decode.ndjson.evolution import Evolution
from lakegate.decode.ndjson.refusals import Refusals
from lakegate.decode.ndjson.rows import Members, Rows
from lakegate.decode.text import LISTED_LINES, shorten
from lakegate.decode.values.json_members import merge, repeated_key

_REPEATS = """
    SELECT NOT coalesce(
        CASE WHEN json_valid(line) THEN list_unique(json_keys(line)) = len(json_keys(line)) END,
        false
    )
    FROM lines
"""


def refuse_members(schema: pa.Schema, rows: Rows, members: Members, refusals: Refusals) -> bool:
    """Refuse rows with members for a `props` that is no text; return whether there are new ones."""
    index = schema.get_field_index(types.PROPS)
    if index < 0 or is_text(schema.field(index).type):
        return False
    before = len(refusals)
    for row, text in rows.where(members.texts.is_valid(), members.texts):
        if not refusals.is_full(row):
            refusals.add(row, f'column "{types.PROPS}" is no JSON and cannot take {shorten(text)}')
    return len(refusals) > before


def refuse_repeats(
    engine: Engine, rows: Rows, texts: pa.Array, members: Members, refusals: Refusals
) -> bool:
    """Refuse the first body with a row whose `props` has a key twice; return whether there is one.

    Only the first: without its new columns, fields of other bodies may go elsewhere.
    """
    own = rows.known(types.PROPS)
    if own is None and not members.repeats:
        return False
    suspects = texts.is_valid()
    if own is not None and not members.repeats:
        suspects = pc.and_(suspects, own.present().is_valid())
    if not suspects.true_count:
        return False
    (repeats,) = engine.run(_REPEATS, texts.filter(suspects))
    mask = pc.replace_with_mask(pa.repeat(False, len(texts)), suspects, repeats)
    first: int | None = None
    listed = 0
    for row, text in sorted(rows.where(mask, texts)):
        body = refusals.lines.body_of(row)
        if first is None and body in refusals:
            continue  # refused before
        if (first is not None and body != first) or listed == LISTED_LINES:
            break
        key = repeated_key(text)
        if key is not None:
            first, listed = body, listed + 1
            refusals.add(row, f'"{types.PROPS}" would have the key "{shorten(key)}" twice')
    return first is not None


def column(
    schema: pa.Schema, rows: Rows, members: Members, evolution: Evolution
) -> dict[str, pa.Array]:
    """Return the column `props` where members that rows have no column for change it.

    A table without it gets one as soon as it is needed, whatever the caps say.
    """
    index = schema.get_field_index(types.PROPS)
    own = rows.known(types.PROPS)
    texts = members.texts
    if texts.null_count == len(texts) and (index >= 0 or own is None):
        return {}
    merged = merge(own.present() if own else pa.nulls(len(texts), pa.string()), texts)
    if index < 0:
        merged = pc.if_else(rows.of_bodies(evolution), merged, pa.scalar(None, pa.string()))
        return {} if merged.null_count == len(merged) else {types.PROPS: merged}
    target = schema.field(index)
    if own is not None and not is_dynamic(target):
        merged = pc.if_else(texts.is_valid(), merged, own.text())
    return {types.PROPS: merged.cast(target.type)}
