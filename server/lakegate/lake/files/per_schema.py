"""A cache of values that depend only on a table's schema and partition spec."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata

# The number of columns in all cached schemas. Each takes a few hundred bytes.
MAX_CACHED_COLUMNS = 20_000

Value = TypeVar("Value")


class PerSchema(Generic[Value]):
    """Caches a value for each schema and partition spec of recently used tables. Thread-safe."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._kept: LRUCache[Hashable, tuple[Schema, PartitionSpec, Value]] = LRUCache(
            MAX_CACHED_COLUMNS, getsizeof=_columns
        )
        self._lock = threading.Lock()

    def get(
        self,
        metadata: TableMetadata,
        spec_id: int,
        make: Callable[[Schema, PartitionSpec], Value],
        extra: Hashable = None,
    ) -> Value:
        """Return the value for the current schema and one partition spec; `make` computes it.

        `extra`: a further key, beside these and the format version.
        """
        schema, spec = metadata.schema(), metadata.specs()[spec_id]
        version = metadata.format_version
        key = (metadata.table_uuid, version, schema.schema_id, spec_id, extra)
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and _same(kept[0], schema) and _same(kept[1], spec):
            return kept[2]
        value = make(schema, spec)
        with self._lock:
            self._kept[key] = schema, spec, value
        return value


def _same(one: Schema | PartitionSpec, other: Schema | PartitionSpec) -> bool:
    # Commits share unchanged parts. Metadata that was read again is compared by value.
    return one is other or one == other


def _columns(kept: tuple[Schema, PartitionSpec, object]) -> int:
    return min(len(kept[0].fields), MAX_CACHED_COLUMNS)
