"""Parquet bodies: what they claim is checked before it is read."""
