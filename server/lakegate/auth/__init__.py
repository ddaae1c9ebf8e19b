"""Tokens: what they are, where they are stored, what is cached."""
