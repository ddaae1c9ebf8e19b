"""Which tables Lakegate maintains."""

from pyiceberg.table.metadata import TableMetadata

# Set to `true` in the tables that Lakegate creates. In a table without it nothing is compacted,
# expired or deleted. Operators may set and unset it in any table.
MANAGED = "lakegate.managed"
GC_ENABLED = "gc.enabled"


def is_managed(metadata: TableMetadata) -> bool:
    """Return whether Lakegate maintains the table."""
    return metadata.properties.get(MANAGED) == "true"


def may_collect_garbage(metadata: TableMetadata) -> bool:
    """Return whether files of the table may be deleted (table property `gc.enabled`)."""
    return metadata.properties.get(GC_ENABLED, "true").lower() == "true"
