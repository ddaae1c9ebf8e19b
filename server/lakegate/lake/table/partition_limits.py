"""Limits of tables: which batches of a group one commit can write.

A row has a value in each column that another engine has made required.
A file is written for each partition, with the partition's values in its path. So a commit writes
to a limited number of partitions, and the values must make a valid path. A batch beyond these
limits is refused. Batches that only together exceed them are left for the next commit.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.transforms import Transform, TruncateTransform

from lakegate.errors import ErrorCode, LakegateError, Violation
from lakegate.lake.table.partitions import Placement, place, source_column
from lakegate.lake.table.state import TableState
from lakegate.model import DecodedGroup

# A file takes about 5 ms on a local disk with fsync, and the commit waits for all files.
MAX_PARTITIONS = 500
# The limits of local file systems for a file name, and of object stores for a key.
MAX_NAME_BYTES = 255
MAX_LOCATION_BYTES = 1024
# As long as the name of a data file.
_FILE_NAME = "0" * 50
_DAY_SECONDS = 86_400
# The range of the dates and times that Python can name: the years 1 to 9999, in seconds.
_FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())

Refusals = Mapping[int, LakegateError]


def fitting(state: TableState, decoded: DecodedGroup) -> tuple[DecodedGroup, Placement | None]:
    """Return the part of the group that one commit can write, and the partitions of its rows.

    A body that exceeds a limit by itself is refused in the outcomes. If there are fewer outcomes
    than in `decoded`, the bodies at the end have to wait. The placement of an unpartitioned table
    is None.
    """
    while refusals := _nulls_in_required_columns(state, decoded):
        decoded = _without(decoded, refusals)
    spec, schema = state.metadata.spec(), state.metadata.schema()
    if spec.is_unpartitioned():
        return decoded, None
    while len(decoded.rows):
        if refusals := _outside_range(state, decoded):
            decoded = _without(decoded, refusals)
            continue
        placement = place(decoded.rows, spec, schema)
        if refusals := _in_too_many_partitions(decoded, placement):
            decoded = _without(decoded, refusals)
        elif (first := _bodies_within_limit(decoded, placement)) < len(decoded.outcomes):
            decoded = _head(decoded, first)
        elif refusals := _with_invalid_paths(state, decoded, placement):
            decoded = _without(decoded, refusals)
        else:
            return decoded, placement
    return decoded, None


def _nulls_in_required_columns(state: TableState, decoded: DecodedGroup) -> Refusals:
    """Refuse the bodies with a row that lacks a required column: engines cannot read its file."""
    refusals: dict[int, LakegateError] = {}
    for field in state.metadata.schema().fields:
        if field.required and len(decoded.rows):
            column = source_column(decoded.rows, field.name)
            column = pa.nulls(len(decoded.rows)) if column is None else column
            refusals |= _refusals(decoded, column.is_null(), f"column {field.name} is required")
    return refusals


def _outside_range(state: TableState, decoded: DecodedGroup) -> Refusals:
    """Refuse the bodies with a value in a partition column that has no partition value."""
    schema = state.metadata.schema()
    refusals: dict[int, LakegateError] = {}
    for field in state.metadata.spec().fields:
        name = schema.find_column_name(field.source_id) or ""
        column = source_column(decoded.rows, name)
        if column is None:
            continue
        if (bad := _invalid_times(column)) is not None:
            reason = f"column {name} is not a date of the years 1 to 9999"
            refusals |= _refusals(decoded, bad, reason)
        if (bad := _too_low_to_truncate(column, field.transform)) is not None:
            reason = f"column {name} has more than {column.type.precision} digits if truncated"
            refusals |= _refusals(decoded, bad, reason)
    return refusals


def _invalid_times(column: pa.Array) -> pa.Array | None:
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


def _too_low_to_truncate(column: pa.Array, transform: Transform[Any, Any]) -> pa.Array | None:
    """Return which decimals have more digits than their type after they were truncated down."""
    if not (isinstance(transform, TruncateTransform) and pa.types.is_decimal(column.type)):
        return None
    greatest = 10**column.type.precision - 1
    lowest = -(greatest // transform.width * transform.width)
    scaled = Decimal(lowest).scaleb(-column.type.scale, Context(prec=column.type.precision))
    return pc.less(column, pa.scalar(scaled, column.type))


def _in_too_many_partitions(decoded: DecodedGroup, placement: Placement) -> Refusals:
    if len(pc.unique(placement.codes)) <= MAX_PARTITIONS:
        return {}
    counts = {
        body: len(pc.unique(placement.codes.slice(start, rows)))
        for body, start, rows in _accepted_bodies(decoded)
    }
    return {
        body: LakegateError(
            ErrorCode.BODY_TOO_LARGE,
            f"The rows belong to {count} partitions of the table, and the limit of a request is "
            f"{MAX_PARTITIONS}: send the rows of fewer partitions at a time.",
        )
        for body, count in counts.items()
        if count > MAX_PARTITIONS
    }


def _bodies_within_limit(decoded: DecodedGroup, placement: Placement) -> int:
    """Return how many bodies, from the first on, are together within the limit of partitions."""
    if len(pc.unique(placement.codes)) <= MAX_PARTITIONS:
        return len(decoded.outcomes)
    together: set[int] = set()
    for body, start, rows in _accepted_bodies(decoded):
        together.update(pc.unique(placement.codes.slice(start, rows)).to_pylist())
        if len(together) > MAX_PARTITIONS:
            return body
    return len(decoded.outcomes)


def _with_invalid_paths(state: TableState, decoded: DecodedGroup, placement: Placement) -> Refusals:
    """Refuse the bodies whose partition values are too long for a path."""
    bad = [
        partition.code
        for partition in placement.partitions
        if not _is_storable(state.locations.new_data_location(_FILE_NAME, partition.key))
    ]
    if not bad:
        return {}
    mask = pc.is_in(placement.codes, value_set=pa.array(bad, placement.codes.type))
    reason = "the values of the partition columns are too long for the path of a file"
    return _refusals(decoded, mask, reason)


def _is_storable(location: str) -> bool:
    return len(location.encode()) <= MAX_LOCATION_BYTES and all(
        len(name.encode()) <= MAX_NAME_BYTES for name in location.split("/")
    )


def _refusals(decoded: DecodedGroup, bad: pa.Array, reason: str) -> Refusals:
    """Refuse the bodies with rows in the mask `bad`; name the first such row of each."""
    if not pc.any(bad).as_py():
        return {}
    first_rows = {
        body: pc.index(bad.slice(start, rows), value=True).as_py()
        for body, start, rows in _accepted_bodies(decoded)
    }
    return {body: _bad_row(row + 1, reason) for body, row in first_rows.items() if row >= 0}


def _bad_row(row: int, reason: str) -> LakegateError:
    """Return the refusal of a body for one row, counted from 1."""
    where = f"row {row}"
    return LakegateError(
        ErrorCode.BAD_REQUEST_BODY, f"{where}: {reason}", violations=(Violation(where, reason),)
    )


def _accepted_bodies(decoded: DecodedGroup) -> Iterator[tuple[int, int, int]]:
    """Yield the index of each accepted body, the index of its first row, and its row count."""
    start = 0
    for body, outcome in enumerate(decoded.outcomes):
        if not isinstance(outcome, LakegateError):
            yield body, start, outcome
            start += outcome


def _without(decoded: DecodedGroup, refusals: Refusals) -> DecodedGroup:
    kept = [
        decoded.rows.slice(start, rows)
        for body, start, rows in _accepted_bodies(decoded)
        if body not in refusals
    ]
    outcomes = [refusals.get(body, outcome) for body, outcome in enumerate(decoded.outcomes)]
    return DecodedGroup(pa.concat_tables(kept or [decoded.rows.slice(0, 0)]), outcomes)


def _head(decoded: DecodedGroup, bodies: int) -> DecodedGroup:
    outcomes = decoded.outcomes[:bodies]
    rows = sum(outcome for outcome in outcomes if not isinstance(outcome, LakegateError))
    return DecodedGroup(decoded.rows.slice(0, rows), outcomes)
