"""NDJSON bodies: lines to rows."""
