"""Limits on what callers send: rates, memory, pace, and the number of public calls."""
