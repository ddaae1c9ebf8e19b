"""Arrow to Iceberg: catalog, schema, committer, maintenance. Knows no gRPC and no JSON."""
