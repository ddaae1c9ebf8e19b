"""ISO 8601 text to timestamps, a column at a time."""

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.columns.registry import TIMESTAMP
from lakegate.columns.timestamps import DAY, FIRST_MOMENT, LAST_MOMENT, PATTERN


def parse_iso_8601(texts: pa.Array) -> pa.Array:
    """Parse text to `TIMESTAMP`; null where it is no timestamp.

    Text without an offset is UTC. Digits beyond the microsecond are cut off.
    """
    try:
        # Arrow's own parser reads the usual forms, with an offset, at ten times the speed.
        moments = texts.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        moments = _parse_each(texts)
    microseconds = moments.cast(pa.int64())
    span = pc.min_max(microseconds)
    if len(moments) == moments.null_count or (
        span["min"].as_py() >= FIRST_MOMENT and span["max"].as_py() <= LAST_MOMENT
    ):
        return moments
    within = pc.and_(
        pc.greater_equal(microseconds, FIRST_MOMENT), pc.less_equal(microseconds, LAST_MOMENT)
    )
    return pc.if_else(within, moments, pa.scalar(None, TIMESTAMP))


def _parse_each(texts: pa.Array) -> pa.Array:
    parts = pc.extract_regex(texts, PATTERN)

    def part(name: str) -> pa.Array:
        return pc.struct_field(parts, name)

    date = _digits(part("date"))
    time = _digits(part("time"))
    fraction = pc.utf8_slice_codeunits(pc.replace_substring(time, ",", "."), 7)
    time = pc.utf8_slice_codeunits(pc.utf8_rpad(time, 6, "0"), 0, 6)
    is_hour_24 = pc.starts_with(time, "24")
    is_end_of_day = pc.and_(pc.equal(time, "240000"), pc.match_substring_regex(fraction, "^0*$"))
    time = pc.if_else(is_hour_24, "000000", time)
    wall_clock = pc.strptime(
        _join(date, time), format="%Y%m%d%H%M%S", unit="us", error_is_null=True
    )
    # strptime takes 30 February for 2 March.
    day = pc.utf8_slice_codeunits(date, 6, 8).cast(pa.int64())
    is_moment = pc.and_(
        pc.equal(pc.day(wall_clock.cast(pa.date32())), day),
        pc.or_(pc.invert(is_hour_24), is_end_of_day),
    )
    wall_clock = pc.if_else(is_moment, wall_clock, None)
    microsecond = _number(pc.utf8_slice_codeunits(pc.utf8_rpad(fraction, 6, "0"), 0, 6))
    minutes = pc.add(pc.multiply(_number(part("hours")), 60), _number(part("minutes")))
    minutes = pc.if_else(pc.equal(part("sign"), "-"), minutes, pc.negate(minutes))
    microseconds = pc.add(
        pc.add(wall_clock.cast(pa.int64()), microsecond), pc.multiply(minutes, 60_000_000)
    )
    return pc.add(microseconds, pc.if_else(is_hour_24, DAY, 0)).cast(TIMESTAMP)


def _digits(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, "[-:]", "")


def _number(digits: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64())


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
