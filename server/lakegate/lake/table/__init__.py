"""One Iceberg table: its state, schema, partitions and properties."""
