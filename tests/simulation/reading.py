"""Reads tables from manifest lists, manifests and Parquet files, without the code under test."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
from pyiceberg.io import InputFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile, ManifestEntryStatus, ManifestFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from tests.simulation.storage import Storage

FIELD_ID = b"PARQUET:field_id"
# A row by field id; `LABEL` identifies it.
Row = dict[int, Any]
LABEL = "label"


class BrokenTableError(Exception):
    """No engine can read the table."""


@dataclass(frozen=True, slots=True)
class _Manifest:
    live: list[DataFile]


class Reader:
    """Reads tables without pauses. Files never change, so each is read once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._io = _AtOnce(storage)
        self._lists: dict[str, list[ManifestFile]] = {}
        self._manifests: dict[str, _Manifest] = {}
        self._rows: dict[str, list[Row]] = {}

    def rows(self, metadata: TableMetadata, snapshot: Snapshot | None) -> dict[str, Row]:
        """Return the rows of a snapshot by label. Raises `BrokenTableError`."""
        label = metadata.schema().find_field(LABEL).field_id
        rows: dict[str, Row] = {}
        for manifest, file in self._files(snapshot):
            self._check_partition(metadata, manifest, file)
            for row in self._rows_of(file):
                if row[label] in rows:
                    raise BrokenTableError(f"{row[label]} is there twice")
                rows[row[label]] = row
        self._check_totals(snapshot, len(rows))
        return rows

    def files(self, snapshots: Iterable[Snapshot]) -> Iterator[str]:
        """Return every file that is needed to read the snapshots."""
        for snapshot in snapshots:
            yield snapshot.manifest_list
            for manifest in self._list(snapshot):
                yield manifest.manifest_path
                yield from (file.file_path for file in self._manifest(manifest).live)

    def _files(self, snapshot: Snapshot | None) -> Iterator[tuple[ManifestFile, DataFile]]:
        for manifest in self._list(snapshot) if snapshot is not None else ():
            for file in self._manifest(manifest).live:
                yield manifest, file

    def _list(self, snapshot: Snapshot) -> list[ManifestFile]:
        path = snapshot.manifest_list
        if path not in self._lists:
            self._lists[path] = snapshot.manifests(self._io)
        self._must_exist(path)
        return self._lists[path]

    def _manifest(self, manifest: ManifestFile) -> _Manifest:
        path = manifest.manifest_path
        if path not in self._manifests:
            entries = manifest.fetch_manifest_entry(self._io, discard_deleted=False)
            live = [e.data_file for e in entries if e.status != ManifestEntryStatus.DELETED]
            counted = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
            if counted != len(live):
                raise BrokenTableError(f"{path} counts {counted} files and has {len(live)}")
            self._manifests[path] = _Manifest(live)
        self._must_exist(path)
        return self._manifests[path]

    def _rows_of(self, file: DataFile) -> list[Row]:
        path = file.file_path
        if path not in self._rows:
            table = pq.read_table(io.BytesIO(self._storage.get(path)), use_threads=False)
            ids = [int(field.metadata[FIELD_ID]) for field in table.schema]
            columns = [column.to_pylist() for column in table.columns]
            self._rows[path] = [
                dict(zip(ids, cells, strict=True)) for cells in zip(*columns, strict=True)
            ]
            if len(self._rows[path]) != file.record_count:
                raise BrokenTableError(f"{path} has not as many rows as its manifest says")
        self._must_exist(path)
        return self._rows[path]

    def _must_exist(self, path: str) -> None:
        if path not in self._storage.files:
            raise BrokenTableError(f"{path} is gone")

    def _check_partition(
        self, metadata: TableMetadata, manifest: ManifestFile, file: DataFile
    ) -> None:
        """Check that the rows of a file match its partition, by which queries prune."""
        schema, spec = metadata.schema(), metadata.specs()[manifest.partition_spec_id]
        if len(file.partition) != len(spec.fields):
            raise BrokenTableError(f"{file.file_path} is not partitioned as its manifest says")
        for position, field in enumerate(spec.fields):
            source = schema.find_field(field.source_id)
            transform = field.transform.transform(source.field_type)
            for row in self._rows_of(file):
                if transform(row[field.source_id]) != file.partition[position]:
                    raise BrokenTableError(f"{file.file_path} is not of its partition")

    def _check_totals(self, snapshot: Snapshot | None, rows: int) -> None:
        if snapshot is None or snapshot.summary is None:
            return
        total = snapshot.summary.additional_properties.get("total-records")
        if total is not None and int(total) != rows:
            raise BrokenTableError(f"the snapshot counts {total} rows and has {rows}")


class _AtOnce(PyArrowFileIO):
    """Access to files without pauses."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self._storage = storage

    def new_input(self, location: str) -> Any:
        return _Input(location, self._storage)


class _Input(InputFile):
    def __init__(self, location: str, storage: Storage) -> None:
        super().__init__(location)
        self._storage = storage

    def __len__(self) -> int:
        return len(self._storage.get(self.location))

    def exists(self) -> bool:
        return self.location in self._storage.files

    def open(self, seekable: bool = True) -> Any:  # noqa: FBT001, FBT002 - PyIceberg's signature
        del seekable
        return io.BytesIO(self._storage.get(self.location))
