"""Partition specs as terms such as `day(at)`, and rows split by partition."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.partitioning import (
    PARTITION_FIELD_ID_START,
    PartitionField,
    PartitionFieldValue,
    PartitionKey,
    PartitionSpec,
    partition_record_value,
)
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, IdentityTransform, Transform, parse_transform
from pyiceberg.typedef import Record
from typing_extensions import override

from lakegate.errors import ErrorCode, LakegateError

# `day(at)`, `bucket(16, id)`, or a column's bare name.
_TERM = re.compile(
    r"\s*(?P<transform>[a-z]+)\s*\(\s*(?:(?P<width>[0-9]{1,10})\s*,\s*)?"
    r"(?P<column>\w+)\s*\)\s*"
)
_PLAIN = frozenset({"identity", "year", "month", "day", "hour"})
_WITH_WIDTH = frozenset({"bucket", "truncate"})
# Iceberg's widths are positive numbers of 32 bits.
MAX_WIDTH = 2**31 - 1
MAX_TERMS = 16
# The suffixes of partition fields in Spark.
_SUFFIXES = {"truncate": "trunc"}


def partition_spec(terms: Sequence[str], schema: Schema) -> PartitionSpec:
    """Parse partition terms. Raises `LakegateError` (invalid_argument) that names the term."""
    if len(terms) > MAX_TERMS:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, f"partition_by: there can be up to {MAX_TERMS} terms."
        )
    fields = [
        _partition_field(term, schema, PARTITION_FIELD_ID_START + position)
        for position, term in enumerate(terms)
    ]
    if len({field.name for field in fields}) < len(fields):
        raise LakegateError(ErrorCode.INVALID_ARGUMENT, "partition_by: a field is given twice.")
    return PartitionSpec(*fields)


def check_names(spec: PartitionSpec, schema: Schema) -> None:
    """Refuse a spec with a transformed field that has the name of a column.

    Iceberg creates no table with such a spec; columns that are added later may have such a name.
    Raises `LakegateError` (invalid_argument).
    """
    for field in spec.fields:
        is_column = isinstance(field.transform, IdentityTransform)
        if not is_column and field.name in schema.column_names:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT,
                f"partition_by: {_term(field, schema)!r} would be named {field.name}, "
                "as a column is.",
            )


def partition_terms(spec: PartitionSpec, schema: Schema) -> list[str]:
    """Return a spec as terms: the inverse of `partition_spec`."""
    return [_term(field, schema) for field in spec.fields]


@dataclass(frozen=True)
class Partition:
    """The rows of one partition: their `code`, and their range in the sorted rows."""

    key: PartitionKey
    code: int
    start: int
    end: int


@dataclass(frozen=True)
class Placement:
    """The partition of each row: rows of one partition have the same code in `codes`.

    `values`: the values of the rows for each field of the spec.
    """

    spec: PartitionSpec
    schema: Schema
    values: Sequence[pa.Array]
    codes: pa.Array

    @cached_property
    def order(self) -> pa.Array:
        """The indices of the rows, sorted by partition; rows of a partition keep their order."""
        return pc.sort_indices(self.codes)  # stable

    @cached_property
    def partitions(self) -> Sequence[Partition]:
        """The partitions. One Python step each."""
        partitions = []
        runs = pc.run_end_encode(self.codes.take(self.order))
        start = 0
        for code, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            first = self.order[start].as_py()
            key = [
                PartitionFieldValue(field, column[first].as_py())
                for field, column in zip(self.spec.fields, self.values, strict=True)
            ]
            partitions.append(Partition(_Key(key, self.spec, self.schema), code, start, end))
            start = end
        return partitions


class _Key(PartitionKey):
    """PyIceberg's key, which also supports several fields of one column, and buckets of times."""

    @cached_property
    @override
    def partition(self) -> Record:
        return Record(*(_record_value(each, self.schema) for each in self.field_values))


def _record_value(each: PartitionFieldValue, schema: Schema) -> object:
    """Return the value in manifests: the number of a bucket, or a number of days."""
    if isinstance(each.field.transform, BucketTransform):
        return each.value
    return partition_record_value(each.field, each.value, schema)


def place(rows: pa.Table, spec: PartitionSpec, schema: Schema) -> Placement:
    """Return the partition of each row. The spec has at least one field."""
    values = [_partition_values(rows, field, schema) for field in spec.fields]
    return Placement(spec, schema, values, reduce(_combine, (_codes(each) for each in values)))


def split(
    rows: pa.Table, placement: Placement | None
) -> Iterator[tuple[PartitionKey | None, pa.Table]]:
    """Return the rows of each partition, in their order, with the partition's key."""
    if placement is None:
        yield None, rows
        return
    sorted_rows = rows.take(placement.order)
    for each in placement.partitions:
        yield each.key, sorted_rows.slice(each.start, each.end - each.start)


def _partition_field(term: str, schema: Schema, field_id: int) -> PartitionField:
    match = _TERM.fullmatch(term)
    name, width, column = match.group("transform", "width", "column") if match else ("", None, term)
    transform = _transform(name or "identity", width, term)
    try:
        source = schema.find_field(column.strip())
    except ValueError:
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT, f"partition_by: {term[:100]!r} names no column."
        ) from None
    if not transform.can_transform(source.field_type):
        raise LakegateError(
            ErrorCode.INVALID_ARGUMENT,
            f"partition_by: {term[:100]!r} does not take {source.field_type}.",
        )
    suffix = f"_{_SUFFIXES.get(name, name)}" if name not in {"", "identity"} else ""
    return PartitionField(source.field_id, field_id, transform, f"{source.name}{suffix}")


def _transform(name: str, width: str | None, term: str) -> Transform[object, object]:
    if name in _PLAIN and width is None:
        return parse_transform(name)
    if name in _WITH_WIDTH and width is not None and 0 < int(width) <= MAX_WIDTH:
        return parse_transform(f"{name}[{width}]")
    raise LakegateError(
        ErrorCode.INVALID_ARGUMENT,
        f"partition_by: {term[:100]!r} is not one of column, identity(column), year(column),"
        " month(column), day(column), hour(column), bucket(N, column), truncate(N, column),"
        f" with N from 1 to {MAX_WIDTH}.",
    )


def _term(field: PartitionField, schema: Schema) -> str:
    column = schema.find_column_name(field.source_id) or f"#{field.source_id}"
    if isinstance(field.transform, IdentityTransform):
        return column
    name, _, width = str(field.transform).rstrip("]").partition("[")
    return f"{name}({width}, {column})" if width else f"{name}({column})"


def _partition_values(rows: pa.Table, field: PartitionField, schema: Schema) -> pa.Array:
    name = schema.find_column_name(field.source_id) or ""
    column = source_column(rows, name)
    if column is None:
        return pa.nulls(len(rows))
    return field.transform.pyarrow_transform(schema.find_type(field.source_id))(column)


def source_column(rows: pa.Table, name: str) -> pa.Array | None:
    """Return a column by its full name: `a.b` is the field `b` of the struct `a`."""
    if name in rows.column_names:
        return rows.column(name).combine_chunks()
    root, *path = name.split(".")
    if path and root in rows.column_names:
        return pc.struct_field(rows.column(root).combine_chunks(), path)
    return None


def _codes(values: pa.Array) -> pa.Array:
    storage = values.storage if isinstance(values, pa.ExtensionArray) else values
    encoded = pc.dictionary_encode(storage, null_encoding="encode")
    return encoded.indices.cast(pa.int64())


def _combine(left: pa.Array, right: pa.Array) -> pa.Array:
    """Return a code for each distinct pair of codes, small enough to be combined again."""
    pairs = pc.add(pc.multiply(left, pc.add(pc.max(right), 1)), right)
    return _codes(pairs)
