"""Numeric properties of tables, whose values other engines may have set to any text."""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

log = logging.getLogger(__name__)

_Default = TypeVar("_Default")
_NUMBER = re.compile(r"-?[0-9]{1,19}")  # 64 bits


def number(properties: Mapping[str, str], key: str, default: _Default) -> int | _Default:
    """Return a property. Return the default if it is not set or, with a warning, not a number."""
    value = properties.get(key)
    if value is None:
        return default
    if not _NUMBER.fullmatch(value):
        warn_ignored(key, value)
        return default
    return int(value)


def warn_ignored(key: str, value: str) -> None:
    """Log that the value of a property is ignored: once, and not for each commit."""
    _warn(key, value[:100])


@lru_cache(maxsize=1000)
def _warn(key: str, value: str) -> None:
    log.warning("The table property %s is ignored: %r is not valid", key, value)
