"""Partition columns of types that only other engines use."""

import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.avro.file import AvroFile
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import ManifestEntry
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, IdentityTransform, VoidTransform
from pyiceberg.types import DecimalType, NestedField, PrimitiveType, TimeType, UUIDType
from tests.testing.lines import ORDERS
from tests.testing.reading import duckdb_rows, load

from lakegate.decode.arrow.decoder import ArrowDecoder
from lakegate.lake.lake import Lake
from lakegate.model import Batch, Body

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)
UUIDS = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([ONE.bytes], pa.binary(16)))
AMOUNTS = pa.array([Decimal("1.25")], pa.decimal128(9, 2))


@pytest.mark.parametrize(
    ("type_", "values"),
    [(DecimalType(9, 2), AMOUNTS), (UUIDType(), UUIDS)],
    ids=["decimal", "uuid"],
)
async def test_two_partition_columns_have_types_of_different_names(
    type_: PrimitiveType, values: pa.Array, lake: Lake, catalog: Catalog
) -> None:
    create(catalog, type_)
    await lake.append(arrow_batch(pa.table({"a": values, "b": values})))
    manifest = load(catalog).inspect.manifests()["path"][0].as_py()
    with AvroFile[ManifestEntry](load(catalog).io.new_input(manifest)) as file:
        schema = json.loads(file.header.meta["avro.schema"])
    names = [each["name"] for each in fixed_types(schema)]
    assert len(names) == len(set(names)) == 2
    expected = values[0].as_py()
    assert load(catalog).scan().to_arrow().to_pylist() == [{"a": expected, "b": expected}]
    assert duckdb_rows(catalog, "a, b") == [(expected, expected)]


async def test_rows_are_placed_by_uuid(lake: Lake, catalog: Catalog) -> None:
    create(catalog, UUIDType())
    storage = pa.array([ONE.bytes, None, TWO.bytes, ONE.bytes], pa.binary(16))
    values = pa.ExtensionArray.from_storage(pa.uuid(), storage)
    await lake.append(arrow_batch(pa.table({"a": values})))
    assert file_counts(catalog) == [1, 1, 2]


async def test_a_dropped_partition_column_of_uuids_has_one_partition(
    lake: Lake, catalog: Catalog
) -> None:
    schema = Schema(NestedField(1, "a", UUIDType(), required=False))
    spec = PartitionSpec(PartitionField(1, 1000, VoidTransform(), "a_void"))
    catalog.create_namespace("default")
    catalog.create_table("default.orders", schema, partition_spec=spec)
    await lake.append(arrow_batch(pa.table({"a": UUIDS})))
    assert file_counts(catalog) == [1]


async def test_times_are_placed_by_bucket(lake: Lake, catalog: Catalog) -> None:
    schema = Schema(NestedField(1, "a", TimeType(), required=False))
    spec = PartitionSpec(PartitionField(1, 1000, BucketTransform(1), "a_bucket"))
    catalog.create_namespace("default")
    catalog.create_table("default.orders", schema, partition_spec=spec)
    times = pa.array([0, 86_399_999_999, None], pa.time64("us"))
    await lake.append(arrow_batch(pa.table({"a": times})))
    assert file_counts(catalog) == [1, 2]


def create(catalog: Catalog, type_: PrimitiveType) -> None:
    schema = Schema(
        NestedField(1, "a", type_, required=False), NestedField(2, "b", type_, required=False)
    )
    spec = PartitionSpec(
        PartitionField(1, 1000, IdentityTransform(), "by_a"),
        PartitionField(2, 1001, IdentityTransform(), "by_b"),
    )
    catalog.create_namespace("default")
    catalog.create_table("default.orders", schema, partition_spec=spec)


def file_counts(catalog: Catalog) -> list[int]:
    return sorted(task.file.record_count for task in load(catalog).scan().plan_files())


def arrow_batch(rows: pa.Table) -> Batch:
    body = pa.BufferOutputStream()
    with pa.ipc.new_stream(body, rows.schema) as stream:
        stream.write_table(rows)
    decoder = ArrowDecoder(max_new_columns=0, max_table_columns=10, max_body_bytes=2**20)
    return Batch(ORDERS, Body(body.getvalue().to_pybytes()), decoder)


def fixed_types(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        for each in schema:
            yield from fixed_types(each)
    elif isinstance(schema, dict):
        if schema.get("type") == "fixed":
            yield schema
        yield from fixed_types(list(schema.values()))
