"""ISO 8601 text to timestamps, a column at a time."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import TIMESTAMP

# A date and a time of ISO 8601 in its extended format; RFC 3339 is part of it.
_ISO_8601 = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})[Tt ]"
    r"(?P<time>\d{2}(?::\d{2}(?::\d{2})?)?)"
    r"(?:[.,](?P<fraction>\d+))?"
    r"(?P<offset>[Zz]|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3]):?(?P<minutes>[0-5]\d)?)?$"
)


def parse_iso_8601(texts: pa.Array) -> pa.Array:
    """Parse text to `TIMESTAMP`; null where it is no timestamp.

    Text without an offset is UTC. Digits beyond the microsecond are cut off.
    """
    try:
        # Arrow's own parser takes a column that is right throughout, at ten times the speed.
        return texts.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        return _parse_each(texts)


def _parse_each(texts: pa.Array) -> pa.Array:
    parts = pc.extract_regex(texts, _ISO_8601)

    def part(name: str) -> pa.Array:
        return pc.struct_field(parts, name)

    def number(digits: pa.Array) -> pa.Array:
        return pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64())

    time = pc.utf8_slice_codeunits(_join(part("time"), ":00:00"), start=0, stop=8)
    wall_clock = pc.strptime(
        _join(part("date"), "T", time), format="%Y-%m-%dT%H:%M:%S", unit="us", error_is_null=True
    )
    # strptime takes 30 February for 2 March.
    day = pc.utf8_slice_codeunits(part("date"), start=8, stop=10).cast(pa.int64())
    wall_clock = pc.if_else(pc.equal(pc.day(wall_clock.cast(pa.date32())), day), wall_clock, None)
    fraction = pc.utf8_slice_codeunits(
        pc.utf8_rpad(part("fraction"), width=6, padding="0"), start=0, stop=6
    )
    offset_minutes = pc.add(pc.multiply(number(part("hours")), 60), number(part("minutes")))
    offset_minutes = pc.if_else(
        pc.equal(part("sign"), "-"), pc.negate(offset_minutes), offset_minutes
    )
    microseconds = pc.subtract(
        pc.add(wall_clock.cast(pa.int64()), number(fraction)),
        pc.multiply(offset_minutes, 60_000_000),
    )
    return microseconds.cast(TIMESTAMP)


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
