"""Tokens: their format, store and cache."""
