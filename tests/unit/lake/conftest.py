"""Fixtures of the lake."""

from tests.testing.lake_fixtures import catalog, decoder, lake, other_lake, settings, time

__all__ = ["catalog", "decoder", "lake", "other_lake", "settings", "time"]
