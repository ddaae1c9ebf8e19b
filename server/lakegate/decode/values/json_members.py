"""Members of JSON objects as columns of text: `"a":1,"b":2`, null for none."""

from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.standard_columns import PROPS
from lakegate.decode.values.json_column import write_string
from lakegate.decode.values.json_text import LineError, parse_line


def write(name: str, values: pa.Array) -> pa.Array:
    """Write JSON texts as members, for `join`: each with a comma after it."""
    return pc.binary_join_element_wise(f"{write_string(name)}:", values, ",", "")


def written_size(name: str, values: pa.Array) -> int:
    """Return how many bytes `write` makes of texts at most."""
    names = (len(write_string(name).encode()) + 2) * (len(values) - values.null_count)
    texts = pc.sum(pc.binary_length(values)).as_py() or 0
    return int(names + texts)


def join(written: Sequence[pa.Array], length: int) -> pa.Array:
    """Join what `write` gave for `length` rows; null for a row without any."""
    if not written:
        return pa.nulls(length, pa.string())
    # Not null_handling="skip": with that Arrow 26 leaves out rows that have only nulls.
    joined = pc.binary_join_element_wise(*written, "", null_handling="replace", null_replacement="")
    without_last_comma = pc.utf8_slice_codeunits(joined, 0, -1)
    return pc.if_else(pc.equal(joined, ""), pa.scalar(None, joined.type), without_last_comma)


def merge(own: pa.Array, joined: pa.Array) -> pa.Array:
    """Add joined members to what rows sent as `props` themselves.

    An object gets them after its own members; any other value moves under the key
    `props` of a new object, so that nothing is lost. `own` has JSON texts without
    whitespace between tokens, or null.
    """
    is_object = pc.fill_null(pc.starts_with(own, "{"), fill_value=False)
    is_empty = pc.fill_null(pc.equal(own, "{}"), fill_value=True)
    opened = pc.case_when(
        pc.make_struct(is_empty, is_object),
        pa.scalar("{", own.type),
        _concatenate(pc.utf8_slice_codeunits(own, 0, -1), ","),
        _concatenate(f'{{"{PROPS}":', own, ","),
    )
    return pc.coalesce(_concatenate(opened, joined, "}"), own)


def repeated_key(text: str) -> str | None:
    """Return a key that an object has twice; None if there is none."""
    if not text.startswith("{"):
        return None
    try:
        counts = Counter(name for name, _ in parse_line(text))
    except LineError:  # a text that only starts like an object
        return None
    return next((name for name, count in counts.items() if count > 1), None)


def _concatenate(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
