"""Table properties that callers may set: an allow-list with the valid values of each.

Properties decide which code an engine runs, where it writes and which endpoints it connects to, so
one that is not known to be harmless is refused. The properties of existing tables are not
restricted.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from pyiceberg.table import TableProperties

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.table.ownership import GC_ENABLED
from lakegate.lake.table.retention import Retention

FORMAT_VERSION = "2"
COMMENT = "comment"
USER_PREFIX = "user."
MAX_TEXT_CHARACTERS = 4096
MAX_KEY_CHARACTERS = 255
# Every metadata file of a table has all its properties.
MAX_PROPERTIES = 200

KIB, MIB, GIB = 1024, 1024**2, 1024**3
# A server must find its own snapshots for at least this long after it committed them.
SHORTEST_AGE_MS = Retention().others_age_ms
LONGEST_AGE_MS = 100 * 365 * 86_400_000

MAX_REF_AGE_MS = "history.expire.max-ref-age-ms"  # PyIceberg has no name for it
_METRICS_COLUMN = f"{TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX}."
_METRICS_MODE = re.compile(r"none|counts|full|truncate\([1-9][0-9]{0,3}\)")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_WITH_LEVELS = frozenset({"brotli", "gzip", "lz4", "zstd"})


@dataclass(frozen=True, slots=True)
class _Rule:
    """The valid values of a property, and their description in messages."""

    is_valid: Callable[[str], bool]
    description: str


def _one_of(*values: str) -> _Rule:
    return _Rule(frozenset(values).__contains__, " or ".join(values))


def _number(least: int, most: int) -> _Rule:
    return _Rule(
        lambda value: bool(_NUMBER.fullmatch(value)) and least <= int(value) <= most,
        f"a whole number from {least} to {most}",
    )


_BOOLEAN = _one_of("true", "false")
_TEXT = _Rule(
    lambda value: len(value) <= MAX_TEXT_CHARACTERS and value.isprintable(),
    f"one line of up to {MAX_TEXT_CHARACTERS} characters",
)
_METRICS = _Rule(
    lambda value: bool(_METRICS_MODE.fullmatch(value)), "none, counts, full or truncate(N)"
)
_AGE = _number(SHORTEST_AGE_MS, LONGEST_AGE_MS)

_RULES: Mapping[str, _Rule] = {
    TableProperties.FORMAT_VERSION: _one_of(FORMAT_VERSION),
    TableProperties.WRITE_TARGET_FILE_SIZE_BYTES: _number(1, GIB),
    TableProperties.PARQUET_COMPRESSION: _one_of(
        "zstd", "gzip", "brotli", "lz4", "snappy", "uncompressed"
    ),
    TableProperties.PARQUET_COMPRESSION_LEVEL: _number(1, 9),
    TableProperties.PARQUET_ROW_GROUP_LIMIT: _number(KIB, 16 * MIB),
    TableProperties.PARQUET_PAGE_SIZE_BYTES: _number(KIB, 64 * MIB),
    TableProperties.PARQUET_PAGE_ROW_LIMIT: _number(100, MIB),
    TableProperties.PARQUET_DICT_SIZE_BYTES: _number(KIB, 64 * MIB),
    TableProperties.WRITE_AVRO_COMPRESSION: _one_of("gzip"),  # every engine reads it
    TableProperties.DEFAULT_WRITE_METRICS_MODE: _METRICS,
    TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED: _BOOLEAN,
    TableProperties.METADATA_PREVIOUS_VERSIONS_MAX: _number(1, 1000),
    TableProperties.WRITE_PARTITION_SUMMARY_LIMIT: _number(0, 1000),
    TableProperties.OBJECT_STORE_ENABLED: _BOOLEAN,
    TableProperties.WRITE_OBJECT_STORE_PARTITIONED_PATHS: _BOOLEAN,
    TableProperties.MAX_SNAPSHOT_AGE_MS: _AGE,
    MAX_REF_AGE_MS: _AGE,
    TableProperties.MIN_SNAPSHOTS_TO_KEEP: _number(1, 1000),
    TableProperties.MANIFEST_MERGE_ENABLED: _BOOLEAN,
    GC_ENABLED: _BOOLEAN,
    COMMENT: _TEXT,
}
_ALLOWED = ", ".join((*_RULES, f"{_METRICS_COLUMN}<column>", f"{USER_PREFIX}<any>"))


def check_properties(properties: Mapping[str, str]) -> None:
    """Raise `LakegateError` (invalid_argument) for a property or value that is not allowed."""
    for key, value in properties.items():
        rule = _rule(key)
        if rule is None:
            raise _refused(f"property {key[:100]!r} is not allowed: use one of {_ALLOWED}")
        if not rule.is_valid(value):
            raise _refused(f"property {key}: {value[:100]!r} is not {rule.description}")


def check_together(all_properties: Mapping[str, str], reserved: Collection[str]) -> None:
    """Check all properties of a table. Those with a prefix in `reserved` are not counted.

    Raises `LakegateError` (invalid_argument).
    """
    codec = all_properties.get(
        TableProperties.PARQUET_COMPRESSION, TableProperties.PARQUET_COMPRESSION_DEFAULT
    )
    level = all_properties.get(TableProperties.PARQUET_COMPRESSION_LEVEL)
    if level is not None and codec not in _WITH_LEVELS:
        raise _refused(
            f"property {TableProperties.PARQUET_COMPRESSION_LEVEL}: {codec} has no levels"
        )
    counted = [key for key in all_properties if not key.startswith(tuple(reserved))]
    if len(counted) > MAX_PROPERTIES:
        raise _refused(f"a table has at most {MAX_PROPERTIES} properties")


def _rule(key: str) -> _Rule | None:
    if len(key) > MAX_KEY_CHARACTERS or not key.isprintable():
        return None
    if key.startswith(_METRICS_COLUMN) and len(key) > len(_METRICS_COLUMN):
        return _METRICS
    if key.startswith(USER_PREFIX) and len(key) > len(USER_PREFIX):
        return _TEXT
    return _RULES.get(key)


def _refused(message: str) -> LakegateError:
    return LakegateError(ErrorCode.INVALID_ARGUMENT, message)
