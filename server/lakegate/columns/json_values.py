"""The exact rule of each type: one JSON value to one value of a typed column.

Slow and exact. `decode` converts whole columns, and calls this for what is not plain.
"""

import re
from collections.abc import Callable
from datetime import date, time
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from typing import Any, TypeVar
from uuid import UUID

import pyarrow as pa

from lakegate.columns import timestamps

T = TypeVar("T")
MAX_PRECISION = 38  # of a decimal; Iceberg table spec, "Primitive Types"
_EXACT = Context(prec=MAX_PRECISION, traps=[Inexact, InvalidOperation])

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class MisfitError(ValueError):
    """A value that a column cannot hold."""


class Number(str):
    """A JSON number as it was sent."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of a JSON object in their order, repeated names included."""

    __slots__ = ()


def to_bool(value: object, _: pa.Field) -> bool:
    """Return a JSON `true` or `false`."""
    if not isinstance(value, bool):
        raise MisfitError
    return value


def to_integer(value: object, column: pa.Field) -> int:
    """Return a whole number within the column's range; `1.0` and `1e0` are whole."""
    limit = 1 << (column.type.bit_width - 1)
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


def to_real(value: object, column: pa.Field) -> float:
    """Return the nearest number of the column's size, if it is finite."""
    if not isinstance(value, Number):
        raise MisfitError
    real: float = pa.scalar(float(value), pa.float64()).cast(column.type, safe=False).as_py()
    if real - real != 0:  # infinite
        raise MisfitError
    return real


def to_string(value: object, _: pa.Field) -> str:
    """Return a JSON string; within lists, structs and maps nothing else is taken for one."""
    if not isinstance(value, str) or isinstance(value, Number):
        raise MisfitError
    return value


def to_timestamp(value: object, column: pa.Field) -> int:
    """Return microseconds since the epoch; what is finer is cut off."""
    if column.type.unit != "us":
        raise MisfitError
    if isinstance(value, Number):
        return _whole_number(value, timestamps.FIRST_NANOSECONDS, 2**63 - 1) // 1000
    try:
        return timestamps.parse(to_string(value, column))
    except ValueError:
        raise MisfitError from None


def to_date(value: object, column: pa.Field) -> date:
    """Return a date of the form `2026-05-02`."""
    return _from_iso(value, column, _DATE, date.fromisoformat)


def to_time(value: object, column: pa.Field) -> time:
    """Return a time of the form `10:00:00.5`."""
    return _from_iso(value, column, _TIME, time.fromisoformat)


def _from_iso(
    value: object, column: pa.Field, pattern: re.Pattern[str], parse: Callable[[str], T]
) -> T:
    text = to_string(value, column)
    if not pattern.fullmatch(text):
        raise MisfitError
    try:
        return parse(text)
    except ValueError:
        raise MisfitError from None


def to_decimal(value: object, column: pa.Field) -> Decimal:
    """Return the very number: nothing is rounded."""
    number = _decimal(value)
    if not number:
        return Decimal(0)
    precision, scale = column.type.precision, column.type.scale
    # The size first: `1e999999999` is eleven bytes of JSON.
    if number.adjusted() >= precision - scale:
        raise MisfitError
    try:
        return number.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    except DecimalException:
        raise MisfitError from None


def to_uuid(value: object, column: pa.Field) -> bytes:
    """Return the bytes of a UUID of the form of RFC 9562."""
    text = to_string(value, column)
    if not _UUID.fullmatch(text):
        raise MisfitError
    return UUID(text).bytes


def to_numbers(value: object, column: pa.Field) -> list[float]:
    """Return the numbers of an array."""
    if not isinstance(value, list) or isinstance(value, Members):
        raise MisfitError
    return [to_real(item, column.type.value_field) for item in value]
