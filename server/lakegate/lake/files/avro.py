"""Writes Avro object container files; the cost is that of their records.

PyIceberg's writer derives the Avro schema, the header and the encoder of each file from the
Iceberg schema, which takes longer than the few records of a commit. Here they are cached in a
`Layout`, and all records are one block. The encoding is PyIceberg's.
"""

import itertools
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyiceberg.avro.codecs import (
    AVRO_CODEC_KEY,
    KNOWN_CODECS,
    AvroCompressionCodec,
)
from pyiceberg.avro.encoder import BinaryEncoder
from pyiceberg.avro.file import MAGIC, META_SCHEMA, SYNC_SIZE, AvroFileHeader
from pyiceberg.avro.resolver import construct_writer, resolve_writer
from pyiceberg.avro.writer import Writer
from pyiceberg.io import OutputFile
from pyiceberg.schema import Schema
from pyiceberg.typedef import Record
from pyiceberg.utils.schema_conversion import AvroSchemaConversion
from typing_extensions import override

SCHEMA_KEY = "avro.schema"
_LOW_BITS = 0x7F
_HEADER_WRITER = construct_writer(META_SCHEMA)


class MemoryEncoder(BinaryEncoder):
    """PyIceberg's encoder into memory, without an object for each byte of an integer."""

    def __init__(self) -> None:
        """Start with no data."""
        self.data = bytearray()

    @override
    def write(self, b: bytes) -> None:
        """Append bytes as they are."""
        self.data += b

    @override
    def write_int(self, integer: int) -> None:
        """Append an integer of up to 64 bits."""
        data = self.data
        zigzag = (integer << 1) ^ (integer >> 63)
        while zigzag & ~_LOW_BITS:
            data.append((zigzag & _LOW_BITS) | 0x80)
            zigzag >>= 7
        data.append(zigzag)


@dataclass(frozen=True, slots=True)
class Layout:
    """The writer of the records of one kind of file. `metadata`: of each file's header."""

    writer: Writer
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, record: Schema, file: Schema, name: str, metadata: Mapping[str, str]) -> "Layout":
        """Return the layout of files of the schema `file` for records of the schema `record`.

        `name`: of the Avro record.
        """
        schema = AvroSchemaConversion().iceberg_to_avro(file, schema_name=name)
        _make_names_unique(schema, set())
        return cls(
            resolve_writer(record_schema=record, file_schema=file),
            {**metadata, SCHEMA_KEY: json.dumps(schema)},
        )

    def encode(self, record: Record) -> bytes:
        """Return the encoding of a record, before compression."""
        encoder = MemoryEncoder()
        self.writer.write(encoder, record)
        return bytes(encoder.data)


def write_file(
    output: OutputFile,
    layout: Layout,
    metadata: Mapping[str, str],
    codec: AvroCompressionCodec,
    records: Iterable[bytes],
) -> int:
    """Write a file of encoded records; return its length in bytes.

    `metadata`: of its header, beside the layout's. `codec`: its name in Avro.
    """
    encoded = list(records)
    sync = os.urandom(SYNC_SIZE)
    encoder = MemoryEncoder()
    meta = {**layout.metadata, **metadata, AVRO_CODEC_KEY: codec}
    _HEADER_WRITER.write(encoder, AvroFileHeader(MAGIC, meta, sync))
    if encoded:
        block = b"".join(encoded)
        if (compressor := KNOWN_CODECS[codec]) is not None:
            block, _ = compressor.compress(block)
        encoder.write_int(len(encoded))
        encoder.write_bytes(block)
        encoder.write(sync)
    with output.create(overwrite=True) as stream:
        stream.write(bytes(encoder.data))
    return len(encoder.data)


def _make_names_unique(schema: object, used: set[str]) -> None:
    """Rename the types of fixed length that have the name of an earlier one.

    PyIceberg names them by their type, such as `decimal_9_2`: a file with two such columns has
    the name twice, which Avro libraries other than PyIceberg's refuse to read.
    """
    if isinstance(schema, list):
        for each in schema:
            _make_names_unique(each, used)
    elif isinstance(schema, dict):
        if schema.get("type") == "fixed":
            name = schema["name"]
            numbered = (f"{name}_{number}" for number in itertools.count(2))
            schema["name"] = (
                name if name not in used else next(n for n in numbered if n not in used)
            )
            used.add(schema["name"])
        _make_names_unique(list(schema.values()), used)
