"""Whose a table is to keep in order: Lakegate's, or that of whoever made it."""

from pyiceberg.table.metadata import TableMetadata

# Tables made by Lakegate have it set to `true`. Without it a table is its owner's alone: nothing
# is compacted, expired or deleted there. It may be set on any table, and taken away.
MANAGED = "lakegate.managed"
GC_ENABLED = "gc.enabled"


def is_managed(metadata: TableMetadata) -> bool:
    """Return whether Lakegate maintains the table."""
    return metadata.properties.get(MANAGED) == "true"


def may_collect_garbage(metadata: TableMetadata) -> bool:
    """Return whether files of the table may be deleted (Iceberg table property `gc.enabled`)."""
    return metadata.properties.get(GC_ENABLED, "true").lower() == "true"
