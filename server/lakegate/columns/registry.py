"""The registry of column types: everything that is known of a type is in its one entry.

Two types are narrower than anything Arrow and Iceberg have: JSON text (`dynamic`) and
arrays of one length (`vector(N)`). Their names travel in the metadata of the Arrow field.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lakegate.columns import json_values as rules
from lakegate.columns import timestamps

LOGICAL_TYPE = b"lakegate:type"  # the key of the metadata
TIMESTAMP = pa.timestamp("us", tz="UTC")
MAX_VECTOR_LENGTH = 16_384

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NAME = re.compile(r"([a-z]+)(?:\(\s*([0-9]{1,5})\s*(?:,\s*([0-9]{1,5})\s*)?\))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type that a column may have.

    `name`: as callers write it, with the names of its parameters.
    `iceberg`: Iceberg's name of it.
    `arrow`: makes the Arrow type of some parameters, or raises `ValueError`; None for a
    type that only other engines give to columns.
    `matches`: whether an Arrow type is this type, where no name is in the metadata.
    `json`: the JSON values it takes, in words; `{0}` and `{1}` are the parameters.
    `from_json`: returns the value of a JSON value, or raises `MisfitError`; None for a
    type that holds the text of any value.
    """

    name: str
    iceberg: str
    arrow: Callable[..., pa.DataType] | None
    matches: Callable[[pa.DataType], bool]
    json: str
    from_json: Callable[[Any, pa.Field], Any] | None = None
    is_logical: bool = False

    @property
    def base(self) -> str:
        """The name without parameters."""
        return self.name.partition("(")[0]

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters."""
        listed = self.name[len(self.base) + 1 : -1]
        return listed.split(",") if listed else []


def _decimal(precision: int, scale: int) -> pa.DataType:
    if not (0 < precision <= rules.MAX_PRECISION and 0 <= scale <= precision):
        raise ValueError(f"P from 1 to {rules.MAX_PRECISION}, S from 0 to P")
    return pa.decimal128(precision, scale)


def _vector(length: int) -> pa.DataType:
    if not 0 < length <= MAX_VECTOR_LENGTH:
        raise ValueError(f"N from 1 to {MAX_VECTOR_LENGTH}")
    return pa.list_(pa.float32())


def _to_vector(value: object, column: pa.Field) -> list[float]:
    numbers = rules.to_numbers(value, column)
    if len(numbers) != vector_length(column) or None in numbers:
        raise rules.MisfitError
    return numbers


def is_text(type_: pa.DataType) -> bool:
    """Return whether a type is Arrow's string, of either size."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _never(_: pa.DataType) -> bool:
    return False


TYPES = (
    ColumnType(
        name="bool",
        iceberg="boolean",
        arrow=pa.bool_,
        matches=pa.types.is_boolean,
        json="`true` or `false`",
        from_json=rules.to_bool,
    ),
    ColumnType(
        name="int",
        iceberg="int",
        arrow=pa.int32,
        matches=lambda type_: bool(type_ == pa.int32()),
        json=f"a whole number from {-(2**31)} to {2**31 - 1}",
        from_json=rules.to_integer,
    ),
    ColumnType(
        name="long",
        iceberg="long",
        arrow=pa.int64,
        matches=pa.types.is_signed_integer,
        json=f"a whole number from {-(2**63)} to {2**63 - 1}",
        from_json=rules.to_integer,
    ),
    ColumnType(
        name="real",
        iceberg="double",
        arrow=pa.float64,
        matches=pa.types.is_floating,
        json="a number that is finite as a floating-point number",
        from_json=rules.to_real,
    ),
    ColumnType(
        name="decimal(P,S)",
        iceberg="decimal(P, S)",
        arrow=_decimal,
        matches=pa.types.is_decimal,
        json="a number of at most {0} digits that needs no more than {1} after the point",
        from_json=rules.to_decimal,
    ),
    ColumnType(
        name="string",
        iceberg="string",
        arrow=pa.string,
        matches=is_text,
        json="a string, its text; any other value, its JSON text as it was sent",
        from_json=rules.to_string,
    ),
    ColumnType(
        name="timestamp",
        iceberg="timestamptz",
        arrow=lambda: TIMESTAMP,
        matches=pa.types.is_timestamp,
        json=f"{timestamps.FORMS}; or whole nanoseconds since the epoch, from 1971 on",
        from_json=rules.to_timestamp,
    ),
    ColumnType(
        name="date",
        iceberg="date",
        arrow=pa.date32,
        matches=pa.types.is_date32,
        json="text like `2026-05-02`",
        from_json=rules.to_date,
    ),
    ColumnType(
        name="dynamic",
        iceberg="string",
        arrow=pa.string,
        matches=_never,
        json="any value, its JSON text as it was sent: digits and key order kept",
        is_logical=True,
    ),
    ColumnType(
        name="vector(N)",
        iceberg="list<float>",
        arrow=_vector,
        matches=_never,
        json="an array of exactly {0} finite numbers",
        from_json=_to_vector,
        is_logical=True,
    ),
    ColumnType(
        name="time",
        iceberg="time",
        arrow=None,
        matches=pa.types.is_time64,
        json="text like `10:00:00.5`",
        from_json=rules.to_time,
    ),
    ColumnType(
        name="uuid",
        iceberg="uuid",
        arrow=None,
        matches=lambda type_: bool(type_ == pa.uuid()),
        json="text like `123e4567-e89b-12d3-a456-426614174000`",
        from_json=rules.to_uuid,
    ),
)

CREATABLE = {type_.base: type_ for type_ in TYPES if type_.arrow is not None}


def parse_field(name: str, written: str) -> pa.Field:
    """Return the Arrow field of a column whose type a caller wrote.

    Raises `ValueError` where that is not the name of a type.
    """
    match = _NAME.fullmatch(written.strip().lower())
    type_ = CREATABLE.get(match[1]) if match else None
    parameters = [int(number) for number in match.groups()[1:] if number] if match else []
    if type_ is None or type_.arrow is None or len(parameters) != len(type_.parameters):
        names = ", ".join(type_.name for type_ in CREATABLE.values())
        raise ValueError(f"it must be one of {names}")
    arrow = type_.arrow(*parameters)
    if not type_.is_logical:
        return pa.field(name, arrow)
    listed = f"({','.join(map(str, parameters))})" if parameters else ""
    return pa.field(name, arrow, metadata={LOGICAL_TYPE: f"{type_.base}{listed}".encode()})


def type_of(column: pa.Field) -> ColumnType | None:
    """Return the type of a column; None for a nested type, and others without a JSON rule."""
    logical = _logical_name(column)
    if logical:
        return CREATABLE[logical[1]]
    return next((type_ for type_ in TYPES if type_.matches(column.type)), None)


def name_of(iceberg_type: str, logical_type: str | None) -> str:
    """Return the name of a type that Iceberg has under another one, or its Iceberg name."""
    if logical_type is not None:
        return logical_type
    name, bracket, parameters = iceberg_type.partition("(")
    for type_ in CREATABLE.values():
        if type_.iceberg.partition("(")[0] == name and not type_.is_logical:
            return type_.base + bracket + parameters.replace(" ", "")
    return iceberg_type


def expectation(column: pa.Field) -> str:
    """Return what a column takes, for an error."""
    type_ = type_of(column)
    if type_ is None:
        return str(column.type)
    parameters = _parameters(column)
    listed = f"({','.join(map(str, parameters))})" if parameters else ""
    return f"{type_.base}{listed} ({type_.json.format(*parameters)})"


def mismatch(column: pa.Field, value: str) -> str:
    """Return the error for a JSON text, shortened, that a column cannot hold."""
    reason = f"expected {expectation(column)}, got {value}"
    if pa.types.is_timestamp(column.type) and _INTEGER.fullmatch(value):
        unit = timestamps.unit_of(int(value))
        return f"{reason}, which looks like {unit}" if unit else reason
    return reason


def is_dynamic(column: pa.Field) -> bool:
    """Return whether a column holds JSON text."""
    logical = _logical_name(column)
    return logical is not None and logical[1] == "dynamic"


def vector_length(column: pa.Field) -> int | None:
    """Return N of a column of `vector(N)`; None for any other."""
    logical = _logical_name(column)
    return int(logical[2]) if logical and logical[1] == "vector" else None


def _parameters(column: pa.Field) -> list[int]:
    if pa.types.is_decimal(column.type):
        return [column.type.precision, column.type.scale]
    length = vector_length(column)
    return [] if length is None else [length]


def _logical_name(column: pa.Field) -> re.Match[str] | None:
    """Return the parts of the name that the metadata has, if it is one of a known type."""
    metadata: dict[bytes, bytes] = column.metadata or {}
    match = _NAME.fullmatch(metadata.get(LOGICAL_TYPE, b"").decode())
    return match if match and match[1] in CREATABLE and CREATABLE[match[1]].is_logical else None
