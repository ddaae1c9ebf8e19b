"""Limits on what callers send."""
