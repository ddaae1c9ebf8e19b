"""Rows that follow one template of fields, read by DuckDB and proven."""
