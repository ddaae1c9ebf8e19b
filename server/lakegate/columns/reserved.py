"""Names that no column may have."""

# Metadata columns of the Iceberg specification ("Reserved Field IDs"): engines would
# not let a column of this name be read.
RESERVED_COLUMNS = frozenset(
    {
        "_change_ordinal",
        "_change_type",
        "_commit_snapshot_id",
        "_deleted",
        "_file",
        "_last_updated_sequence_number",
        "_partition",
        "_pos",
        "_row_id",
        "_spec_id",
    }
)
