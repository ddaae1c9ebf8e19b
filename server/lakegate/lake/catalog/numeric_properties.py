"""Numeric properties of tables, whose values other engines may have set to any text."""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

from pyiceberg.table import TableProperties

log = logging.getLogger(__name__)

_Default = TypeVar("_Default")
_NUMBER = re.compile(r"-?[0-9]{1,19}")  # 64 bits
# Properties that PyIceberg reads during a commit.
_OF_PYICEBERG = (
    TableProperties.METADATA_PREVIOUS_VERSIONS_MAX,
    TableProperties.PARQUET_COMPRESSION_LEVEL,
    TableProperties.PARQUET_DICT_SIZE_BYTES,
    TableProperties.PARQUET_PAGE_ROW_LIMIT,
    TableProperties.PARQUET_PAGE_SIZE_BYTES,
    TableProperties.PARQUET_ROW_GROUP_LIMIT,
)


def number(properties: Mapping[str, str], key: str, default: _Default) -> int | _Default:
    """Return a property. Return the default if it is not set or, with a warning, not a number."""
    value = properties.get(key)
    if value is None:
        return default
    if not _NUMBER.fullmatch(value):
        _warn(key, value[:100])
        return default
    return int(value)


def readable(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties without the numeric ones of PyIceberg that are not numbers."""
    bad = {key for key in _OF_PYICEBERG if number(properties, key, None) is None}
    return {key: value for key, value in properties.items() if key not in bad}


@lru_cache(maxsize=1000)
def _warn(key: str, value: str) -> None:
    """Log a warning once, and not for each commit."""
    log.warning("The table property %s is ignored: %r is not a number", key, value)
