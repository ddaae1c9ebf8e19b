"""Manifests and manifest lists are, but for their sync marker, what PyIceberg would write."""

import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyiceberg.avro.file import AvroFile
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
)
from pyiceberg.manifest import write_manifest as write_with_pyiceberg
from pyiceberg.manifest import write_manifest_list as write_list_with_pyiceberg
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType, NestedField, StringType, TimestamptzType

from lakegate.lake.files.manifest_files import write_manifest, write_manifest_list

SYNC = 16
SNAPSHOT = 7
COLUMNS = Schema(
    NestedField(1, "at", TimestamptzType(), required=False),
    NestedField(2, "label", StringType(), required=False, doc='"quoted" ü'),
    NestedField(3, "amount", DoubleType(), required=True),
    NestedField(4, "order", LongType(), required=False),
)
BY_LABEL = PartitionSpec(
    PartitionField(2, 1000, IdentityTransform(), "label"),
    PartitionField(4, 1001, BucketTransform(16), "order_bucket"),
)


@pytest.fixture(params=["1", "2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[PartitionSpec(), BY_LABEL], ids=["unpartitioned", "partitioned"])
def table(request: pytest.FixtureRequest, version: str, catalog: Catalog) -> Table:
    catalog.create_namespace("default")
    return catalog.create_table(
        "default.orders",
        COLUMNS,
        partition_spec=request.param,
        properties={"format-version": version},
    )


def test_a_manifest_of_one_file_has_the_same_bytes(table: Table, tmp_path: Path) -> None:
    ours, theirs = write_both(table, tmp_path, [entry(table)])
    assert described(ours) == described(theirs)
    assert contents(ours.manifest_path) == contents(theirs.manifest_path)


def test_a_manifest_of_many_files_has_the_same_entries(table: Table, tmp_path: Path) -> None:
    entries = [
        entry(table),
        entry(table, ManifestEntryStatus.EXISTING, snapshot_id=3, sequence_number=4),
        entry(table, ManifestEntryStatus.DELETED, snapshot_id=3, sequence_number=1),
        entry(table, label=None),
    ]
    ours, theirs = write_both(table, tmp_path, entries)
    io = PyArrowFileIO()
    read, expected = (
        manifest.fetch_manifest_entry(io, discard_deleted=False) for manifest in (ours, theirs)
    )
    assert len(read) == len(entries)
    assert read == expected
    # PyIceberg writes a block for each entry.
    assert described(ours, length=False) == described(theirs, length=False)


def test_a_manifest_list_has_the_same_bytes(table: Table, tmp_path: Path) -> None:
    manifests = [write_both(table, tmp_path, [entry(table)])[0] for _ in range(3)]
    for number, manifest in enumerate(manifests):
        manifest.sequence_number = manifest.min_sequence_number = number + 1
    metadata = table.metadata
    for repeat in range(2):  # the second time from what was kept
        ours, theirs = tmp_path / f"ours-{repeat}.avro", tmp_path / f"theirs-{repeat}.avro"
        io = PyArrowFileIO()
        write_manifest_list(io.new_output(str(ours)), metadata, SNAPSHOT, manifests)
        with write_list_with_pyiceberg(
            metadata.format_version,
            io.new_output(str(theirs)),
            SNAPSHOT,
            None,
            metadata.next_sequence_number(),
            "deflate",
        ) as writer:
            writer.add_manifests(manifests)
        assert contents(ours) == contents(theirs)


def test_a_manifest_after_a_new_column_has_the_new_schema(table: Table, tmp_path: Path) -> None:
    write_both(table, tmp_path, [entry(table)])
    with table.update_schema() as update:
        update.add_column("note", StringType())
    ours, theirs = write_both(table, tmp_path, [entry(table)])
    assert contents(ours.manifest_path) == contents(theirs.manifest_path)
    assert '"note"' in contents(ours.manifest_path)[0]["schema"]


def entry(
    table: Table,
    status: ManifestEntryStatus = ManifestEntryStatus.ADDED,
    *,
    snapshot_id: int = SNAPSHOT,
    sequence_number: int | None = None,
    label: str | None = "x",
) -> ManifestEntry:
    partition = Record(label, 3) if table.spec().fields else Record()
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path="file:///somewhere/ü.parquet",
        file_format=FileFormat.PARQUET,
        partition=partition,
        record_count=300,
        file_size_in_bytes=2**40,
        column_sizes={1: 64, 2: 8191},
        value_counts={1: 300},
        null_value_counts={1: 0, 2: 128},
        nan_value_counts={},
        lower_bounds={2: b"a"},
        upper_bounds={2: b"\xff" * 200},
        split_offsets=[4],
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
    )
    file.spec_id = table.spec().spec_id
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=sequence_number,
        file_sequence_number=sequence_number,
        data_file=file,
    )


def write_both(
    table: Table, folder: Path, entries: Sequence[ManifestEntry]
) -> tuple[ManifestFile, ManifestFile]:
    """Write the entries with our writer, and with PyIceberg's."""
    io, metadata, spec = PyArrowFileIO(), table.metadata, table.spec()
    ours = write_manifest(
        io.new_output(f"{folder}/{uuid.uuid4()}.avro"), metadata, spec.spec_id, SNAPSHOT, entries
    )
    with write_with_pyiceberg(
        metadata.format_version,
        spec,
        metadata.schema(),
        io.new_output(f"{folder}/{uuid.uuid4()}.avro"),
        SNAPSHOT,
        "deflate",
    ) as writer:
        for each in entries:
            writer.add_entry(each)
    return ours, writer.to_manifest_file()


def described(manifest: ManifestFile, *, length: bool = True) -> list[object]:
    """Return what a manifest list says of a manifest, its path aside."""
    first = 1 if length else 2
    return [manifest[position] for position in range(first, len(manifest))]


def contents(path: str | Path) -> tuple[dict[str, str], bytes]:
    """Return the header's metadata and the one block of a file."""
    file = PyArrowFileIO().new_input(str(path))
    with AvroFile[ManifestEntry](file) as avro:
        meta = avro.header.meta
    data = Path(path).read_bytes()
    _, block, end = data.split(data[-SYNC:])
    assert end == b""
    return meta, block
