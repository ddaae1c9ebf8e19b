"""Tables whose files are at another path: the metadata, manifest lists and manifests name them.

All of these have absolute locations (Iceberg table spec), so each is written again, under its name
in the new warehouse. Data files stay as they are. Former metadata files are left out.
"""

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.backup.avro_edits import Edits, edited
from lakegate.lake.backup.files import replace_file
from lakegate.lake.catalog.embedded import SCHEME, local_path

_GZIP = b"\x1f\x8b"
_POSITION_DELETES = 1


@dataclass(frozen=True)
class Relocation:
    """The relocation of tables from the warehouse `old` to `new`, where copies of the files are.

    `_lengths`: the sizes of the manifests that are written, by their new locations.
    """

    old: Path
    new: Path
    _lengths: dict[str, int] = field(default_factory=dict)
    _lists: set[str] = field(default_factory=set)

    def moved(self, location: str) -> str:
        """Return the new location of a file of the warehouse, or of a folder; others stay."""
        # The forms of other engines too: file:///x, file:/x, /x.
        for scheme in (SCHEME, "file:", ""):
            old = f"{scheme}{self.old}"
            if location == old or location.startswith(f"{old}/"):
                return f"{SCHEME}{self.new}{location[len(old) :]}"
        return location

    def relocate(self, metadata_location: str) -> str:
        """Write the metadata of a table again; return its new location.

        Raises `LakegateError` (invalid_argument) for a table that cannot be relocated.
        """
        location = self.moved(metadata_location)
        if location == metadata_location:
            return location  # it is not in the warehouse
        path = local_path(location)
        data = path.read_bytes()
        zipped = data.startswith(_GZIP)
        metadata = json.loads(gzip.decompress(data) if zipped else data)
        for entry in metadata.pop("metadata-log", []):
            self._remove(entry["metadata-file"])
        metadata = self._moved_strings(metadata)
        for snapshot in metadata.get("snapshots", []):
            self._relocate_list(snapshot["manifest-list"], metadata["location"])
        new = json.dumps(metadata).encode()
        replace_file(path, gzip.compress(new) if zipped else new)
        return location

    def _moved_strings(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        match value:
            case str():
                return self.moved(value)
            case list():
                return [self._moved_strings(each) for each in value]
            case dict():
                return {key: self._moved_strings(each) for key, each in value.items()}
            case _:
                return value

    def _relocate_list(self, location: str, table: str) -> None:
        if location in self._lists or not self._is_here(location):
            return
        latest = ""

        def manifest_path(old: str) -> str:
            nonlocal latest
            latest = self.moved(old)
            self._relocate_manifest(latest, table)
            return latest

        def manifest_length(old: int) -> int:  # the field after the path
            return self._lengths.get(latest, old)

        edits: Edits = {("manifest_path",): manifest_path, ("manifest_length",): manifest_length}
        replace_file(local_path(location), edited(local_path(location).read_bytes(), edits))
        self._lists.add(location)

    def _relocate_manifest(self, location: str, table: str) -> None:
        if location in self._lengths or not self._is_here(location):
            return

        def content(value: int) -> int:
            if value == _POSITION_DELETES:
                raise LakegateError(
                    ErrorCode.INVALID_ARGUMENT,
                    f"The table at {table} has deletes that name files by their paths: restore it "
                    f"to {self.old.parent}, or compact it before the backup",
                )
            return value

        edits: Edits = {
            ("data_file", "content"): content,
            ("data_file", "file_path"): self.moved,
        }
        new = edited(local_path(location).read_bytes(), edits)
        replace_file(local_path(location), new)
        self._lengths[location] = len(new)

    def _is_here(self, location: str) -> bool:
        return location.startswith(f"{SCHEME}{self.new}/")

    def _remove(self, location: str) -> None:
        moved = self.moved(location)
        if self._is_here(moved):
            local_path(moved).unlink(missing_ok=True)
