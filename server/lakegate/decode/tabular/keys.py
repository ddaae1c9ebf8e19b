"""Rows whose `props` would have a key twice."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.decode.standard_columns import PROPS
from lakegate.decode.text import shorten
from lakegate.decode.values.json_members import repeated_key
from lakegate.errors import ErrorCode, LakegateError, Violation


def twice(fields: Sequence[tuple[str, pa.Array]], count: int) -> pa.Array:
    """Return the rows that have two values for one name."""
    twice = pa.repeat(pa.scalar(value=False), count)
    found: dict[str, pa.Array] = {}
    for name, values in fields:
        valid = values.is_valid()
        if name in found:
            twice = pc.or_(twice, pc.and_(found[name], valid))
            valid = pc.or_(found[name], valid)
        found[name] = valid
    return twice


def check_keys(props: pa.Array, suspects: pa.Array) -> None:
    """Refuse a row whose `props` has a key twice."""
    rows = pc.indices_nonzero(suspects)
    for row, text in zip(rows.to_pylist(), props.take(rows).to_pylist(), strict=True):
        key = repeated_key(text)
        if key is not None:
            reason = f'"{PROPS}" would have the key "{shorten(key)}" twice'
            raise LakegateError(
                ErrorCode.BAD_REQUEST_BODY,
                f"row {row + 1}: {reason}",
                violations=(Violation(f"row {row + 1}", reason),),
            )
