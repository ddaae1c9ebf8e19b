"""Edits of single fields in Avro object container files; all else stays as it is, byte by byte.

Manifests and manifest lists of other engines may have fields that PyIceberg does not know, and
partitions of dropped columns. So records are not decoded: a field is skipped by its schema (Avro
specification, "Binary Encoding"), or edited.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pyiceberg.avro.codecs import AVRO_CODEC_KEY, KNOWN_CODECS
from pyiceberg.avro.file import MAGIC, SYNC_SIZE

from lakegate.lake.files.avro import SCHEMA_KEY, MemoryEncoder

_CODECS: Mapping[str, Any] = dict(KNOWN_CODECS.items())
_FIXED_BYTES = {"null": 0, "boolean": 1, "float": 4, "double": 8}

# By the path of a field: strings and integers are edited to values of the same type.
Edits = Mapping[tuple[str, ...], Callable[[Any], Any]]


def edited(data: bytes, edits: Edits) -> bytes:
    """Return an Avro file with the edited fields. Raises `ValueError` for another file."""
    if not data.startswith(MAGIC):
        raise ValueError("This is not an Avro file")
    cursor = _Cursor(data, len(MAGIC))
    header = _header(cursor)
    schema = json.loads(header[SCHEMA_KEY])
    codec = _CODECS[header.get(AVRO_CODEC_KEY, b"null").decode()]
    sync = cursor.take(SYNC_SIZE)
    parts = [data[: cursor.at]]
    while cursor.at < len(data):
        count = cursor.integer()
        block = cursor.take(cursor.integer())
        block = _edited_block(codec.decompress(block) if codec else block, schema, count, edits)
        if codec:
            block, _ = codec.compress(block)
        parts += [_encoded(count), _encoded(len(block)), block, cursor.take(SYNC_SIZE)]
        if parts[-1] != sync:
            raise ValueError("A block of the Avro file is damaged")
    return b"".join(parts)


class _Cursor:
    """A position in Avro data."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, size: int) -> bytes:
        self.at += size
        if size < 0 or self.at > len(self.data):
            raise ValueError("The Avro file ends early")
        return self.data[self.at - size : self.at]

    def integer(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return (value >> 1) ^ -(value & 1)


def _header(cursor: _Cursor) -> dict[str, bytes]:
    header = {}
    while count := cursor.integer():
        if count < 0:
            cursor.integer()
        for _ in range(abs(count)):
            key = cursor.take(cursor.integer()).decode()
            header[key] = cursor.take(cursor.integer())
    return header


def _edited_block(block: bytes, schema: Any, count: int, edits: Edits) -> bytes:  # noqa: ANN401 - JSON
    editor = _Editor(block, edits)
    for _ in range(count):
        editor.value(schema, ())
    return editor.finish()


class _Editor:
    """Copies the values of a block, with edits."""

    def __init__(self, block: bytes, edits: Edits) -> None:
        self._cursor = _Cursor(block)
        self._edits = edits
        self._parts: list[bytes] = []
        self._copied = 0  # up to here the block is in the parts
        self._named: dict[str, Any] = {}

    def finish(self) -> bytes:
        return b"".join([*self._parts, self._cursor.data[self._copied :]])

    def value(self, schema: Any, path: tuple[str, ...]) -> None:  # noqa: ANN401 - JSON
        """Copy or edit a value of the type `schema`."""
        if isinstance(schema, list):
            self.value(schema[self._cursor.integer()], path)
        elif isinstance(schema, dict):
            self._complex(schema, path)
        elif schema in self._named:
            self.value(self._named[schema], path)
        else:
            self._primitive(schema, path)

    def _complex(self, schema: dict[str, Any], path: tuple[str, ...]) -> None:
        if "name" in schema:
            self._named[schema["name"]] = schema
        match schema["type"]:
            case "record":
                for field in schema["fields"]:
                    self.value(field["type"], (*path, field["name"]))
            case "array":
                self._items(lambda: self.value(schema["items"], (*path, "[]")))
            case "map":
                self._items(lambda: self._entry(schema["values"], path))
            case "fixed":
                self._cursor.take(schema["size"])
            case "enum":
                self._cursor.integer()
            case other:
                self.value(other, path)

    def _items(self, item: Callable[[], None]) -> None:
        while count := self._cursor.integer():
            if count < 0:
                self._cursor.integer()  # the size of the items in bytes
            for _ in range(abs(count)):
                item()

    def _entry(self, values: Any, path: tuple[str, ...]) -> None:  # noqa: ANN401 - JSON
        self._primitive("string", ())
        self.value(values, (*path, "{}"))

    def _primitive(self, schema: str, path: tuple[str, ...]) -> None:
        start = self._cursor.at
        edit = self._edits.get(path)
        if schema in _FIXED_BYTES:
            self._cursor.take(_FIXED_BYTES[schema])
        elif schema in {"int", "long"}:
            value = self._cursor.integer()
            if edit:
                self._replace(start, _encoded(edit(value)))
        elif schema in {"string", "bytes"}:
            data = self._cursor.take(self._cursor.integer())
            if edit:
                new = edit(data.decode()).encode()
                self._replace(start, _encoded(len(new)) + new)
        else:
            raise ValueError(f"The Avro file has a field of the unknown type {schema}")

    def _replace(self, start: int, new: bytes) -> None:
        self._parts += [self._cursor.data[self._copied : start], new]
        self._copied = self._cursor.at


def _encoded(integer: int) -> bytes:
    encoder = MemoryEncoder()
    encoder.write_int(integer)
    return bytes(encoder.data)
