"""Numbers in the properties of a table, where another engine may have set anything."""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

from pyiceberg.table import TableProperties

log = logging.getLogger(__name__)

_Default = TypeVar("_Default")
_NUMBER = re.compile(r"-?[0-9]{1,19}")  # 64 bits
# Properties that PyIceberg reads on its way through a commit.
_OF_PYICEBERG = (
    TableProperties.METADATA_PREVIOUS_VERSIONS_MAX,
    TableProperties.PARQUET_COMPRESSION_LEVEL,
    TableProperties.PARQUET_DICT_SIZE_BYTES,
    TableProperties.PARQUET_PAGE_ROW_LIMIT,
    TableProperties.PARQUET_PAGE_SIZE_BYTES,
    TableProperties.PARQUET_ROW_GROUP_LIMIT,
)


def number(properties: Mapping[str, str], key: str, default: _Default) -> int | _Default:
    """Return a property; the default where it is not set, or is no number, which is logged."""
    value = properties.get(key)
    if value is None:
        return default
    if not _NUMBER.fullmatch(value):
        _warn(key, value[:100])
        return default
    return int(value)


def readable(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties without those of PyIceberg's numbers that are none."""
    bad = {key for key in _OF_PYICEBERG if number(properties, key, None) is None}
    return {key: value for key, value in properties.items() if key not in bad}


@lru_cache(maxsize=1000)
def _warn(key: str, value: str) -> None:
    """Log once what would otherwise be logged with each commit."""
    log.warning("The table property %s is ignored: %r is no number", key, value)
