"""Iceberg catalogs, and what PyIceberg leaves out of them."""
