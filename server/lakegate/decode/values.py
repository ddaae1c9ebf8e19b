"""One JSON value to a value of a typed column: the definition of what each type takes.

Slow and exact. `coerce` converts whole columns, and comes here for what is not plain.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from typing import Any, TypeVar
from uuid import UUID

import pyarrow as pa

from lakegate.decode.types import is_list, is_text, vector_length

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")
_MICROSECOND = timedelta(microseconds=1)
_LONG = (-(2**63), 2**63 - 1)

_RFC_3339 = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]+))?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3]):(?P<minutes>[0-5][0-9]))"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class MisfitError(ValueError):
    """A value that a column's type does not take."""


class Number(str):
    """A JSON number as it was sent."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of a JSON object in their order, repeated names included."""

    __slots__ = ()


def convert_json(text: str, column: pa.Field) -> Any:  # noqa: ANN401  # what pa.array takes
    """Give the value of a JSON text for a column; raise `MisfitError` if it has none."""
    value = json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=Members)
    converted = _convert(value, column.type)
    length = vector_length(column)
    if length is not None and (len(converted) != length or None in converted):
        raise MisfitError
    return converted


def _convert(value: Any, type_: pa.DataType) -> Any:  # noqa: ANN401  # any JSON value
    if value is None:
        return None
    for is_type, convert in _CONVERSIONS:
        if is_type(type_):
            return convert(value, type_)
    raise MisfitError


def _to_bool(value: object, _: pa.DataType) -> bool:
    if not isinstance(value, bool):
        raise MisfitError
    return value


def _to_integer(value: object, type_: pa.DataType) -> int:
    limit = 1 << (type_.bit_width - 1)
    return _whole_number(value, -limit, limit - 1)


def _whole_number(value: object, least: int, most: int) -> int:
    number = _decimal(value)
    # Look at the size first: an integer of a billion digits is three bytes of JSON.
    if number.adjusted() > len(str(most)) or number != number.to_integral_value():
        raise MisfitError
    whole = int(number)
    if not least <= whole <= most:
        raise MisfitError
    return whole


def _decimal(value: object) -> Decimal:
    if not isinstance(value, Number):
        raise MisfitError
    try:
        return Decimal(value)
    except DecimalException:
        raise MisfitError from None


def _to_real(value: object, type_: pa.DataType) -> float:
    if not isinstance(value, Number):
        raise MisfitError
    real: float = pa.scalar(float(value), pa.float64()).cast(type_, safe=False).as_py()
    if real - real != 0:  # infinite
        raise MisfitError
    return real


def _to_string(value: object, _: pa.DataType) -> str:
    """Take strings only: this is for strings within lists, structs and maps."""
    if not isinstance(value, str) or isinstance(value, Number):
        raise MisfitError
    return value


def _to_timestamp(value: object, type_: pa.DataType) -> int:
    """Give microseconds since the epoch; what is finer is cut off."""
    if type_.unit != "us":
        raise MisfitError
    if isinstance(value, Number):
        return _whole_number(value, *_LONG) // 1000
    match = _RFC_3339.fullmatch(_to_string(value, type_))
    if match is None:
        raise MisfitError
    try:
        moment = datetime.fromisoformat(f"{match['date']}T{match['time']}+00:00")
    except ValueError:
        raise MisfitError from None
    seconds = (moment - EPOCH) // timedelta(seconds=1)
    if match["sign"]:
        offset = 3600 * int(match["hours"]) + 60 * int(match["minutes"])
        seconds += offset if match["sign"] == "-" else -offset
    microseconds = seconds * 1_000_000 + int((match["fraction"] or "").ljust(6, "0")[:6])
    if not FIRST_MOMENT <= microseconds <= LAST_MOMENT:
        raise MisfitError
    return microseconds


# The years that timestamps and dates of ISO 8601 have, in microseconds since the epoch.
FIRST_MOMENT = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
LAST_MOMENT = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND


def _to_date(value: object, type_: pa.DataType) -> date:
    return _from_iso(value, type_, _DATE, date.fromisoformat)


def _to_time(value: object, type_: pa.DataType) -> time:
    return _from_iso(value, type_, _TIME, time.fromisoformat)


def _from_iso(
    value: object, type_: pa.DataType, pattern: re.Pattern[str], parse: Callable[[str], T]
) -> T:
    text = _to_string(value, type_)
    if not pattern.fullmatch(text):
        raise MisfitError
    try:
        return parse(text)
    except ValueError:
        raise MisfitError from None


def _to_decimal(value: object, type_: pa.DataType) -> Decimal:
    number = _decimal(value)
    try:
        pa.scalar(number, type_)
    except pa.ArrowInvalid:
        raise MisfitError from None
    return number


def _to_uuid(value: object, type_: pa.DataType) -> bytes:
    text = _to_string(value, type_)
    if not _UUID.fullmatch(text):
        raise MisfitError
    return UUID(text).bytes


def _to_list(value: object, type_: pa.DataType) -> list[Any]:
    if not isinstance(value, list) or isinstance(value, Members):
        raise MisfitError
    return [_convert_member(item, type_.value_field) for item in value]


def _to_struct(value: object, type_: pa.DataType) -> dict[str, Any]:
    if not isinstance(value, Members):
        raise MisfitError
    members = dict(value)
    fields = {field.name: field for field in type_}
    if len(members) < len(value) or not members.keys() <= fields.keys():
        raise MisfitError  # nothing is dropped
    return {name: _convert_member(members.get(name), field) for name, field in fields.items()}


def _to_map(value: object, type_: pa.DataType) -> list[tuple[str, Any]]:
    if not isinstance(value, Members) or not is_text(type_.key_type):
        raise MisfitError
    if len(dict(value)) < len(value):
        raise MisfitError
    return [(key, _convert_member(item, type_.item_field)) for key, item in value]


def _convert_member(value: object, field: pa.Field) -> Any:  # noqa: ANN401  # what pa.array takes
    if value is None and not field.nullable:
        raise MisfitError
    return _convert(value, field.type)


def _is_uuid(type_: pa.DataType) -> bool:
    return bool(type_ == pa.uuid())


_CONVERSIONS: list[tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType], Any]]] = [
    (pa.types.is_boolean, _to_bool),
    (pa.types.is_signed_integer, _to_integer),
    (pa.types.is_floating, _to_real),
    (is_text, _to_string),
    (pa.types.is_timestamp, _to_timestamp),
    (pa.types.is_date32, _to_date),
    (pa.types.is_time64, _to_time),
    (pa.types.is_decimal, _to_decimal),
    (_is_uuid, _to_uuid),
    (is_list, _to_list),
    (pa.types.is_struct, _to_struct),
    (pa.types.is_map, _to_map),
]
