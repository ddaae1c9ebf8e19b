"""Which batches of a group the partitions of a table can take.

A file is written for each partition, its values in the file's name. So rows may be of so many
partitions at once, and their values must make a name that storage takes. A batch that asks for
more is refused alone; batches that together do wait for the next commit.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.lake.table.partitions import Placement, place, source_column
from lakegate.lake.table.state import TableState
from lakegate.model import DecodedGroup

# A file takes about 5 ms on a local disk with fsync, and the commit waits for all.
MAX_PARTITIONS = 500
# What local file systems take as a name in a folder, and object stores as a key.
MAX_NAME_BYTES = 255
MAX_LOCATION_BYTES = 1024
# A name that is as long as those of data files.
_FILE_NAME = "0" * 50
_DAY_SECONDS = 86_400
# The days and microseconds that have a name: of the years 1 to 9999.
_FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())

Refusals = Mapping[int, LakegateError]


def fitting(state: TableState, decoded: DecodedGroup) -> tuple[DecodedGroup, Placement | None]:
    """Return the part of the group that one commit takes, and where its rows go.

    Bodies that can never fit are refused in its outcomes. Where it has fewer outcomes
    than `decoded`, the bodies at the end are to wait. No placement: there are no partitions.
    """
    spec, schema = state.metadata.spec(), state.metadata.schema()
    if spec.is_unpartitioned():
        return decoded, None
    while len(decoded.rows):
        if refusals := _without_a_day(state, decoded):
            decoded = _without(decoded, refusals)
            continue
        placement = place(decoded.rows, spec, schema)
        if refusals := _of_too_many_partitions(decoded, placement):
            decoded = _without(decoded, refusals)
        elif (first := _first_together(decoded, placement)) < len(decoded.outcomes):
            decoded = _head(decoded, first)
        elif refusals := _without_a_name(state, decoded, placement):
            decoded = _without(decoded, refusals)
        else:
            return decoded, placement
    return decoded, None


def _without_a_day(state: TableState, decoded: DecodedGroup) -> Refusals:
    """Find the bodies with a time, in a column of the partitioning, outside of the calendar."""
    schema = state.metadata.schema()
    refusals: dict[int, LakegateError] = {}
    for field in state.metadata.spec().fields:
        name = schema.find_column_name(field.source_id) or ""
        column = source_column(decoded.rows, name)
        if column is not None and (bad := _outside_of_the_calendar(column)) is not None:
            reason = f"column {name} is no date of the years 1 to 9999"
            refusals |= _refusals(decoded, bad, reason)
    return refusals


def _outside_of_the_calendar(column: pa.Array) -> pa.Array | None:
    if pa.types.is_date32(column.type):
        numbers, first, last = (
            column.cast(pa.int32()),
            _FIRST // _DAY_SECONDS,
            _LAST // _DAY_SECONDS,
        )
    elif pa.types.is_timestamp(column.type):
        numbers = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
        first, last = _FIRST * 1_000_000, (_LAST + 1) * 1_000_000 - 1
    else:
        return None
    return pc.or_(pc.less(numbers, first), pc.greater(numbers, last))


def _of_too_many_partitions(decoded: DecodedGroup, placement: Placement) -> Refusals:
    if len(pc.unique(placement.codes)) <= MAX_PARTITIONS:
        return {}
    counts = {
        body: len(pc.unique(placement.codes.slice(start, rows)))
        for body, start, rows in _good_bodies(decoded)
    }
    return {
        body: LakegateError(
            ErrorCode.BODY_TOO_LARGE,
            f"The rows belong to {count} partitions of the table, and a request takes up to "
            f"{MAX_PARTITIONS}: send the rows of fewer partitions at a time.",
        )
        for body, count in counts.items()
        if count > MAX_PARTITIONS
    }


def _first_together(decoded: DecodedGroup, placement: Placement) -> int:
    """Count the bodies from the first on that together are of few enough partitions."""
    if len(pc.unique(placement.codes)) <= MAX_PARTITIONS:
        return len(decoded.outcomes)
    together: set[int] = set()
    for body, start, rows in _good_bodies(decoded):
        together.update(pc.unique(placement.codes.slice(start, rows)).to_pylist())
        if len(together) > MAX_PARTITIONS:
            return body
    return len(decoded.outcomes)


def _without_a_name(state: TableState, decoded: DecodedGroup, placement: Placement) -> Refusals:
    """Find the bodies whose values are too long for the name of a folder."""
    bad = [
        partition.code
        for partition in placement.partitions
        if not _is_storable(state.locations.new_data_location(_FILE_NAME, partition.key))
    ]
    if not bad:
        return {}
    mask = pc.is_in(placement.codes, value_set=pa.array(bad, placement.codes.type))
    reason = "the values of the partition's columns are too long for the name of its folder"
    return _refusals(decoded, mask, reason)


def _is_storable(location: str) -> bool:
    return len(location.encode()) <= MAX_LOCATION_BYTES and all(
        len(name.encode()) <= MAX_NAME_BYTES for name in location.split("/")
    )


def _refusals(decoded: DecodedGroup, bad: pa.Array, reason: str) -> Refusals:
    """Refuse the bodies that have a row of the mask `bad`; name the first of each."""
    if not pc.any(bad).as_py():
        return {}
    first_rows = {
        body: pc.index(bad.slice(start, rows), value=True).as_py()
        for body, start, rows in _good_bodies(decoded)
    }
    return {body: _bad_row(row + 1, reason) for body, row in first_rows.items() if row >= 0}


def _bad_row(row: int, reason: str) -> LakegateError:
    """Refuse a body for its row, counted from 1."""
    where = f"row {row}"
    return LakegateError(
        ErrorCode.BAD_REQUEST_BODY, f"{where}: {reason}", violations=(Violation(where, reason),)
    )


def _good_bodies(decoded: DecodedGroup) -> Iterator[tuple[int, int, int]]:
    """Return the number of each good body, where its rows begin, and how many there are."""
    start = 0
    for body, outcome in enumerate(decoded.outcomes):
        if not isinstance(outcome, LakegateError):
            yield body, start, outcome
            start += outcome


def _without(decoded: DecodedGroup, refusals: Refusals) -> DecodedGroup:
    kept = [
        decoded.rows.slice(start, rows)
        for body, start, rows in _good_bodies(decoded)
        if body not in refusals
    ]
    outcomes = [refusals.get(body, outcome) for body, outcome in enumerate(decoded.outcomes)]
    return DecodedGroup(pa.concat_tables(kept or [decoded.rows.slice(0, 0)]), outcomes)


def _head(decoded: DecodedGroup, bodies: int) -> DecodedGroup:
    outcomes = decoded.outcomes[:bodies]
    rows = sum(outcome for outcome in outcomes if not isinstance(outcome, LakegateError))
    return DecodedGroup(decoded.rows.slice(0, rows), outcomes)
