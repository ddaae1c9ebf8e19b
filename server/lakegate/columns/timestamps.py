"""The text and the numbers that timestamps are written as (ISO 8601)."""

import re
from datetime import UTC, datetime, timedelta

FORMS = (
    "ISO 8601 text such as 2026-03-10T12:00:00.5Z, 2026-03-10 12:00:00,5+0200, "
    "20260310T120000Z, 2026-03-10T24:00:00 or 2026-03-10, in UTC without an offset"
)

# For Python and for RE2. Digits after the seconds only; 24 is the end of a day.
PATTERN = (
    r"^(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})"
    r"(?:[Tt ]"
    r"(?P<time>(?:[01][0-9]|2[0-4])"
    r"(?::[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?|[0-5][0-9](?:[0-5][0-9](?:[.,][0-9]+)?)?)?)"
    r"(?:[Zz]|(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3])(?::?(?P<minutes>[0-5][0-9]))?)?)?$"
)
_TEXT = re.compile(PATTERN.removesuffix("$") + r"\Z")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1) // _MICROSECOND
_MINUTE = 60_000_000

# The years that ISO 8601 writes in four digits, in microseconds since the epoch.
FIRST_MOMENT = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
LAST_MOMENT = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND

# What is less was meant in another unit: 1971 in nanoseconds is the year 3000 in seconds and more.
FIRST_NANOSECONDS = (datetime(1971, 1, 1, tzinfo=UTC) - EPOCH) // _MICROSECOND * 1000
# Below these, a number since the epoch is in the unit.
_UNITS = {10**11: "seconds", 10**14: "milliseconds", FIRST_NANOSECONDS: "microseconds"}


def parse(text: str) -> int:
    """Return the microseconds since the epoch; what is finer is cut off.

    Raises `ValueError` where the text has none of the forms.
    """
    match = _TEXT.match(text)
    if match is None:
        raise ValueError("not a timestamp")
    date = match["date"].replace("-", "")
    time, _, fraction = (match["time"] or "").replace(":", "").replace(",", ".").partition(".")
    time = time.ljust(6, "0")
    is_end_of_day = time == "240000" and not fraction.strip("0")
    if is_end_of_day:
        time = "000000"
    moment = datetime.strptime(f"{date}{time}+0000", "%Y%m%d%H%M%S%z")
    microseconds = (moment - EPOCH) // _MICROSECOND + int(fraction.ljust(6, "0")[:6])
    offset = (60 * int(match["hours"] or 0) + int(match["minutes"] or 0)) * _MINUTE
    microseconds += offset if match["sign"] == "-" else -offset
    microseconds += DAY if is_end_of_day else 0
    if not FIRST_MOMENT <= microseconds <= LAST_MOMENT:
        raise ValueError("not a moment of the years 1 to 9999")
    return microseconds


def unit_of(number: int) -> str | None:
    """Return the unit that a number since the epoch seems to be in; None for nanoseconds."""
    return next((unit for limit, unit in _UNITS.items() if abs(number) < limit), None)
