"""Bytes to Arrow: NDJSON, Arrow IPC, query events. Knows no gRPC and no Iceberg."""
