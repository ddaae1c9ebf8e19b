"""Arrow values to JSON texts, for columns that hold any JSON, and for `props`."""

import base64
import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal

import pyarrow as pa

from lakegate.decode.limits import check_written


class JsonWriter:
    """Writes the values of one body, up to a limit."""

    def __init__(self) -> None:
        """Start with nothing written."""
        self._written = 0

    def to_json(self, array: pa.Array) -> pa.Array:
        """Return each value as a JSON text; null stays null.

        Decimals keep their digits; dates and times are ISO 8601 texts; binary is Base64
        (RFC 4648); a float that is not finite is its name, a text. Maps of texts are objects.
        Raises `TooLargeError`.
        """
        self._count(_names_size(array))
        return pa.array(self._texts(array), pa.string())

    def _texts(self, array: pa.Array) -> Iterator[str | None]:
        for scalar in array:
            value = scalar.as_py()
            text = None if value is None else _write(value)
            self._count(len(text or ""))
            yield text

    def _count(self, size: int) -> None:
        self._written += size
        check_written(self._written)


def _names_size(array: pa.Array) -> int:
    """Return how many bytes the names of fields take, which each value has as a Python object."""
    type_ = array.type
    if pa.types.is_struct(type_):
        fields = [_names_size(array.field(index)) for index in range(type_.num_fields)]
        return len(array) * sum(len(field.name) for field in type_) + sum(fields)
    if pa.types.is_map(type_):
        return _names_size(array.keys) + _names_size(array.items)
    return _names_size(array.flatten()) if pa.types.is_list(type_) else 0


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
