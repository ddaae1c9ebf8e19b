"""Lakegate: the gate into the lakehouse."""
