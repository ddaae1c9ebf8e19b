"""Definitions of tables by callers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lakegate.errors import ErrorCode, LakegateError


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """The columns, partitioning and properties that a caller asks for.

    `columns`, `partition_by`: None leaves them to the default, or as they are.
    `partition_by`: terms such as `day(at)`.
    """

    columns: pa.Schema | None = None
    partition_by: Sequence[str] | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


def check_column_count(count: int, limit: int) -> None:
    """Raise `LakegateError` (invalid_argument) for a table with more columns than `limit`."""
    if count > limit:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"columns: the table would have {count} columns, and the limit is {limit} "
            "(LAKEGATE_MAX_TABLE_COLUMNS)",
        )
