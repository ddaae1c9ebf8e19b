"""Table properties that PyIceberg and PyArrow read, whose values other engines may have set.

Java engines accept codecs in upper case, values that only they support, and any text where nothing
reads it. PyIceberg fails with some of these values, and PyArrow writes forever with pages of no
rows. Such a value is ignored, with a warning; the default is used.
"""

import re
from collections.abc import Callable, Mapping

import pyarrow as pa
from pyiceberg.avro.codecs import AvroCompressionCodec
from pyiceberg.table import TableProperties

from lakegate.lake.catalog.numeric_properties import warn_ignored

# Avro codecs by their names in the property. PyIceberg's snappy needs a package of its own.
_AVRO_CODECS: Mapping[str, AvroCompressionCodec] = {
    "bzip2": "bzip2",
    "deflate": "deflate",
    "gzip": "deflate",
    "null": "null",
    "uncompressed": "null",
    "zstandard": "zstandard",
    "zstd": "zstandard",
}
_PARQUET_CODECS = frozenset({"brotli", "gzip", "lz4", "none", "snappy", "uncompressed", "zstd"})
_WITHOUT_LEVELS = frozenset({"none", "snappy", "uncompressed"})
_MOST = 2**31 - 1
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,10}")
_METRICS_MODE = re.compile(r"none|counts|full|truncate\([1-9][0-9]{0,8}\)")
METRICS_OF_COLUMN = f"{TableProperties.METRICS_MODE_COLUMN_CONF_PREFIX}."


def usable(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the properties without those that PyIceberg or PyArrow cannot use."""
    usable = {}
    for key, value in properties.items():
        rule = _metrics_mode if key.startswith(METRICS_OF_COLUMN) else _RULES.get(key)
        result = value if rule is None else rule(value)
        if result is None:
            warn_ignored(key, value)
        else:
            usable[key] = result
    return _with_valid_level(usable)


def avro_codec(properties: Mapping[str, str]) -> AvroCompressionCodec:
    """Return the Avro name of the codec of manifests."""
    key = TableProperties.WRITE_AVRO_COMPRESSION
    value = properties.get(key, TableProperties.WRITE_AVRO_COMPRESSION_DEFAULT)
    codec = _AVRO_CODECS.get(value.lower())
    if codec is None:
        warn_ignored(key, value)
        return _AVRO_CODECS[TableProperties.WRITE_AVRO_COMPRESSION_DEFAULT]
    return codec


def _metrics_mode(value: str) -> str | None:
    mode = value.strip().lower()
    return mode if _METRICS_MODE.fullmatch(mode) else None


def _parquet_codec(value: str) -> str | None:
    codec = value.lower()
    return codec if codec in _PARQUET_CODECS else None


def _number(value: str) -> str | None:
    is_number = _WHOLE_NUMBER.fullmatch(value) and abs(int(value)) <= _MOST
    return value if is_number else None


def _positive(value: str) -> str | None:
    return value if _number(value) and int(value) > 0 else None


def _boolean(value: str) -> str | None:
    return value if value.lower() in {"true", "false"} else None


_RULES: Mapping[str, Callable[[str], str | None]] = {
    TableProperties.DEFAULT_WRITE_METRICS_MODE: _metrics_mode,
    TableProperties.METADATA_PREVIOUS_VERSIONS_MAX: _number,
    TableProperties.OBJECT_STORE_ENABLED: _boolean,
    TableProperties.PARQUET_COMPRESSION: _parquet_codec,
    TableProperties.PARQUET_COMPRESSION_LEVEL: _number,
    TableProperties.PARQUET_DICT_SIZE_BYTES: _positive,
    TableProperties.PARQUET_PAGE_ROW_LIMIT: _positive,
    TableProperties.PARQUET_PAGE_SIZE_BYTES: _positive,
    TableProperties.PARQUET_ROW_GROUP_LIMIT: _positive,
    TableProperties.WRITE_OBJECT_STORE_PARTITIONED_PATHS: _boolean,
}


def _with_valid_level(properties: dict[str, str]) -> dict[str, str]:
    """Remove the level of compression if the codec does not have it."""
    key = TableProperties.PARQUET_COMPRESSION_LEVEL
    level = properties.get(key)
    if level is None:
        return properties
    codec = properties.get(
        TableProperties.PARQUET_COMPRESSION, TableProperties.PARQUET_COMPRESSION_DEFAULT
    )
    if codec in _WITHOUT_LEVELS or not (
        pa.Codec.minimum_compression_level(codec)
        <= int(level)
        <= pa.Codec.maximum_compression_level(codec)
    ):
        warn_ignored(key, level)
        del properties[key]
    return properties
