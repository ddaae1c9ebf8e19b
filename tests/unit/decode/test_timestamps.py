"""ISO 8601 text to timestamps, beside Python's own parser."""

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakegate.columns import timestamps as exact
from lakegate.decode.values.timestamps import parse_iso_8601

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=OFFSETS).filter(lambda moment: 1900 < moment.year < 2200)


def parse(*texts: str | None) -> list[datetime | None]:
    parsed: list[datetime | None] = parse_iso_8601(pa.array(texts, pa.string())).to_pylist()
    return parsed


@given(st.lists(MOMENTS, min_size=1))
def test_every_moment_reads_back_whatever_its_offset(moments: list[datetime]) -> None:
    assert parse(*(moment.isoformat() for moment in moments)) == moments


@given(st.lists(MOMENTS, min_size=1))
def test_one_bad_text_does_not_spoil_its_neighbours(moments: list[datetime]) -> None:
    texts = [moment.isoformat() for moment in moments]
    assert parse(*texts, "no timestamp") == [*moments, None]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-10T12:00:00Z", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("2026-03-10t12:00:00z", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("2026-03-10 12:00", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("2026-03-10T12:00:00", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("2026-03-10T12:00:00,5Z", datetime(2026, 3, 10, 12, 0, 0, 500_000, UTC)),
        ("2026-03-10T12:00:00.123456789Z", datetime(2026, 3, 10, 12, 0, 0, 123_456, UTC)),
        ("2026-03-10T12:00:00+0530", datetime(2026, 3, 10, 6, 30, tzinfo=UTC)),
        ("2026-03-10T12:00:00-05", datetime(2026, 3, 10, 17, tzinfo=UTC)),
        ("20260310T120000Z", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("20260310T120000,25+0530", datetime(2026, 3, 10, 6, 30, 0, 250_000, UTC)),
        ("20260310 1200", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("2026-03-10", datetime(2026, 3, 10, tzinfo=UTC)),
        ("20260310", datetime(2026, 3, 10, tzinfo=UTC)),
        ("2026-12-31T24:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31T24:00:00.000+0200", datetime(2026, 12, 31, 22, tzinfo=UTC)),
        ("20261231T24", datetime(2027, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("1969-12-31T23:59:59.999999Z", datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)),
    ],
)
def test_the_forms_of_iso_8601_are_read(text: str, moment: datetime) -> None:
    assert parse(text) == [moment]
    assert exact.parse(text) == (moment - exact.EPOCH) // timedelta(microseconds=1)
    assert parse(text, "no timestamp") == [moment, None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-3-10",
        "2026-03-10Z",
        "2026-0310",
        "2026-03-10T",
        "2026-03-10T12:0000Z",
        "2026-03-10T12:00.5Z",
        "2026-03-10T24:00:01Z",
        "2026-03-10T24:00:00.1Z",
        "2026-03-10T12:00:60Z",
        "2026-03-10T12:00:00Z\n",
        "0000-12-31T12:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T24:00:00Z",
        "\u0662026-03-10",
        "2026-13-10T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "2026-03-10T25:00:00Z",
        "2026-03-10T12:61:00Z",
        "2026-03-10T12:00:00+24:00",
        "2026-03-10T12:00:00Z and more",
        " 2026-03-10T12:00:00Z",
        "1773144000",
        "now",
    ],
)
def test_what_is_no_timestamp_is_null(text: str) -> None:
    assert parse(text) == [None]
    with pytest.raises(ValueError):  # noqa: PT011  # in the words of whoever finds it
        exact.parse(text)
    assert parse(text, "2026-03-10T12:00:00Z")[0] is None


def test_null_stays_null() -> None:
    assert parse(None) == [None]
