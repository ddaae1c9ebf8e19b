"""All that Lakegate uses of PyIceberg's private parts, in one place.

PyIceberg's own way through a commit reads the table's metadata again, copies
it deeply and compares it whole: three times the cost of the commit itself, and
it grows with every snapshot (apache/iceberg-python #3784). Its public interface
has no other way. `tests/unit/lake/test_pyiceberg_private.py` breaks when
PyIceberg changes what is used here.
"""

from datetime import UTC, datetime

from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    TableUpdate,
    _apply_table_update,  # the singledispatch that PyIceberg's own commit is made of
    _TableMetadataUpdateContext,
    _update_table_metadata_log,
)


def updated_metadata(table: Table, updates: tuple[TableUpdate, ...]) -> TableMetadata:
    """Apply `updates` to the table's metadata, as `update_table_metadata`, without a deep copy.

    The two share what the updates leave alone; neither is ever changed in place.
    """
    context = _TableMetadataUpdateContext()
    metadata = table.metadata
    for update in updates:
        metadata = _apply_table_update(update, metadata, context)
    before_ms = table.metadata.last_updated_ms
    metadata = _update_table_metadata_log(metadata, table.metadata_location, before_ms)
    if metadata.last_updated_ms == before_ms:
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        metadata = metadata.model_copy(update={"last_updated_ms": now_ms})
    metadata.spec().check_compatible(metadata.schema())
    metadata.sort_order().check_compatible(metadata.schema())
    return metadata


def next_metadata_version(table: Table) -> int:
    """Give the number that the name of the table's next metadata file begins with."""
    return MetastoreCatalog._parse_metadata_version(table.metadata_location) + 1  # noqa: SLF001 - as said above
