"""The values of columns, one by one: a part of the reference decoder."""

import math
import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from tests.testing.decode.reference_json import Node

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Cell = None | bool | int | float | str | date | Decimal | list[float]


class BadValueError(Exception):
    pass


def cell_of(node: Node, kind: str) -> Cell:
    """Return what a column of a type holds for a value."""
    if node.kind == "null":
        return None
    if kind.startswith("vector"):
        return _vector(node, int(kind[7:-1]))
    if kind.startswith("decimal"):
        return _decimal(node, *map(int, kind[8:-1].split(",")))
    return CELLS[kind](node)


def _demand(condition: object) -> None:
    if not condition:
        raise BadValueError


def _whole(node: Node, bits: int) -> int:
    _demand(node.kind == "number")
    value = Fraction(node.raw)
    _demand(value.denominator == 1)
    _demand(-(2 ** (bits - 1)) <= value < 2 ** (bits - 1))
    return int(value)


def _decimal(node: Node, precision: int, scale: int) -> Decimal:
    """Return the number itself, if as many tenths, hundredths ... of one as fit make it up."""
    _demand(node.kind == "number")
    units = Fraction(node.raw) * 10**scale
    _demand(units.denominator == 1 and abs(units) < 10**precision)
    digits = str(abs(int(units))).rjust(scale + 1, "0")
    sign = "-" if units < 0 else ""
    return Decimal(f"{sign}{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}")


def _real(node: Node) -> float:
    _demand(node.kind == "number")
    value = float(node.raw)
    _demand(math.isfinite(value))
    return value


def _vector(node: Node, length: int) -> list[float]:
    _demand(node.kind == "array")
    _demand(len(node.items) == length)
    return [_single(_real(item)) for item in node.items]


def _single(value: float) -> float:
    """Round to 32 bits, which is what a vector has."""
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError as error:
        raise BadValueError from error
    return rounded


def _timestamp(node: Node) -> int:
    """Return microseconds since the epoch, rounded down."""
    if node.kind == "number":
        number = _whole(node, 64)
        _demand(number >= 365 * 24 * 3600 * 10**9)
        return number // 1000
    _demand(node.kind == "string")
    for form in TIMESTAMP_FORMS:
        if match := re.fullmatch(form, node.text, re.ASCII):
            return _moment([int(part or 0) for part in match.groups()[:6]], *match.groups()[6:])
    raise BadValueError


def _moment(parts: list[int], fraction: str | None = None, offset: str | None = None) -> int:
    fraction, offset = fraction or "", offset or "Z"
    days, parts[3] = divmod(parts[3], 24)
    _demand(not days or (days == 1 and not any(parts[3:]) and not fraction.strip(".,0")))
    try:
        moment = datetime(*parts, tzinfo=UTC) + timedelta(days=days)  # type: ignore[arg-type, misc]  # six numbers
        if offset not in "Zz":
            hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
            _demand(hours < 24 and minutes < 60)
            shift = timedelta(hours=hours, minutes=minutes)
            moment = moment + shift if offset[0] == "-" else moment - shift
    except (ValueError, OverflowError) as error:
        raise BadValueError from error
    return (moment - EPOCH) // MICROSECOND + int(fraction[1:].ljust(6, "0")[:6])


_OFFSET = r"([Zz]|[+-]\d\d(?::?\d\d)?)?"
_EXTENDED, _BASIC = r"(\d{4})-(\d\d)-(\d\d)", r"(\d{4})(\d\d)(\d\d)"
TIMESTAMP_FORMS = [
    date + time
    for date in (_EXTENDED, _BASIC)
    for time in (
        r"()()()",
        r"[Tt ](\d\d)()()()" + _OFFSET,
        r"[Tt ](\d\d):?(\d\d)()()" + _OFFSET,
        r"[Tt ](\d\d):(\d\d):(\d\d)([.,]\d+)?" + _OFFSET,
        r"[Tt ](\d\d)(\d\d)(\d\d)([.,]\d+)?" + _OFFSET,
    )
]


def _date(node: Node) -> date:
    _demand(node.kind == "string")
    _demand(re.fullmatch(r"\d{4}-\d\d-\d\d", node.text, re.ASCII))
    try:
        return date.fromisoformat(node.text)
    except ValueError as error:
        raise BadValueError from error


def _bool(node: Node) -> bool:
    _demand(node.kind == "bool")
    return node.raw == "true"


CELLS: dict[str, Callable[[Node], Cell]] = {
    "string": lambda node: node.text if node.kind == "string" else node.raw,
    "dynamic": lambda node: node.raw,
    "bool": _bool,
    "int": lambda node: _whole(node, 32),
    "long": lambda node: _whole(node, 64),
    "real": _real,
    "timestamp": _timestamp,
    "date": _date,
}
