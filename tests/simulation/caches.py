"""Caches of results that PyIceberg computes again for each file and each change.

The results are the same. Computing them takes most of the CPU time of a simulation otherwise.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any
from unittest import mock

from pydantic import BaseModel
from pyiceberg.avro.file import AvroFileHeader
from pyiceberg.avro.reader import Reader
from pyiceberg.avro.resolver import resolve_reader
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadataCommonFields
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

SCHEMAS = 4096

_Types = tuple[tuple[int, Callable[..., Any]], ...]


@contextmanager
def computed_once() -> Iterator[None]:
    """Use the caches until the end of the block."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(AvroFileHeader, "get_schema", _schema_of))
        stack.enter_context(mock.patch("pyiceberg.avro.file.resolve_reader", _reader))
        stack.enter_context(mock.patch.object(TableMetadataCommonFields, "model_copy", _copy))
        yield


class _ById:
    """A key that compares an object by identity: hashing a schema is slow."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ById) and other.value is self.value


def _schema_of(header: AvroFileHeader) -> Schema:
    return _schema(header.meta["avro.schema"])


@lru_cache(SCHEMAS)
def _schema(text: str) -> Schema:
    """Parse the schema of an Avro file; equal texts return the same object."""
    return AvroSchemaConversion().avro_to_iceberg(json.loads(text))


def _reader(
    of_file: Schema, wanted: Schema, types: Mapping[int, Any], enums: Mapping[int, Any]
) -> Reader:
    return _kept_reader(_ById(of_file), _ById(wanted), tuple(types.items()), tuple(enums.items()))


@lru_cache(SCHEMAS)
def _kept_reader(of_file: _ById, wanted: _ById, types: _Types, enums: _Types) -> Reader:
    return resolve_reader(of_file.value, wanted.value, dict(types), dict(enums))


def _copy(
    metadata: BaseModel, *, update: Mapping[str, Any] | None = None, deep: bool = False
) -> BaseModel:
    """Return a shallow copy of metadata, whose parts are never changed."""
    del deep
    return BaseModel.model_copy(metadata, update=update)
