"""Arrow values to JSON texts, for columns that hold any JSON, and for `props`."""

import base64
import json
import math
from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa


def to_json(array: pa.Array) -> pa.Array:
    """Return each value as a JSON text; null stays null.

    Decimals keep their digits; dates and times are ISO 8601 texts; binary is Base64
    (RFC 4648); a float that is not finite is its name, a text. Maps of texts are objects.
    """
    return pa.array(
        [None if value is None else _write(value) for value in array.to_pylist()], pa.string()
    )


def _write(value: object) -> str:
    match value:
        case dict():
            return _write_object(list(value.items()))
        case list():
            if value and all(
                isinstance(item, tuple) and isinstance(item[0], str) for item in value
            ):
                return _write_object(value)
            return f"[{','.join(map(_write, value))}]"
        case tuple():  # an entry of a map whose keys are no texts
            return f"[{','.join(map(_write, value))}]"
        case _:
            return _write_scalar(value)


def _write_object(members: list[tuple[str, object]]) -> str:
    return "{" + ",".join(f"{_write(name)}:{_write(item)}" for name, item in members) + "}"


def _write_scalar(value: object) -> str:
    match value:
        case None | bool() | int():
            return json.dumps(value)
        case float() if math.isfinite(value):
            return repr(value)
        case Decimal():
            return f"{value:f}"
        case datetime() | date() | time():
            return json.dumps(value.isoformat())
        case bytes():
            return json.dumps(base64.b64encode(value).decode())
        case _:
            return json.dumps(str(value), ensure_ascii=False)
