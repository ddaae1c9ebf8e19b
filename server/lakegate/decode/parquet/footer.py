"""The footer of a Parquet file: its columns, and where their pages are.

Read here, and not by Arrow: Arrow's Python interface to the footer ends the process for some
that are wrong. Names and ids of fields are those of parquet.thrift.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakegate.decode.parquet.thrift import BINARY, I32, I64, LIST, STRUCT, Layout, Reader, Struct

_MAGIC = b"PAR1"
_TAIL_BYTES = 8  # the size of the footer, and the magic number
_MAX_BYTES = 4 * 1024 * 1024
_MAX_ELEMENTS = 4000  # of the schema, which Arrow reads recursively
_MAX_DEPTH = 64

_SIZE_STATISTICS: Layout = {2: I64, 3: I64}
_COLUMN_META_DATA: Layout = {2: I32, 3: BINARY, 8: {}, 13: {}, 16: _SIZE_STATISTICS, 17: {2: I32}}
_COLUMN: Layout = {3: _COLUMN_META_DATA}
_LAYOUT: Layout = {2: {}, 4: {1: _COLUMN, 4: {}}, 5: {}, 7: {}}

_SCHEMA, _NUM_ROWS, _ROW_GROUPS, _ENCRYPTION = (2, LIST), (3, I64), (4, LIST), (8, STRUCT)
_ELEMENT_TYPE, _ELEMENT_LENGTH, _NAME, _NUM_CHILDREN = (1, I32), (2, I32), (4, BINARY), (5, I32)
_COLUMNS, _GROUP_ROWS = (1, LIST), (3, I64)
_FILE_PATH, _META_DATA, _CRYPTO = (1, BINARY), (3, STRUCT), (8, STRUCT)
_TYPE, _NUM_VALUES, _COMPRESSED = (1, I32), (5, I64), (7, I64)
_DATA_OFFSET, _DICTIONARY_OFFSET = (9, I64), (11, I64)

# Bytes of a value in Arrow; texts stay in their dictionary, and have indices of 4 bytes.
_INT32, _INT64, _INT96, _FLOAT, _DOUBLE, _BYTE_ARRAY, _FIXED = range(1, 8)
_WIDTHS = {_INT32: 4, _INT64: 8, _INT96: 12, _FLOAT: 4, _DOUBLE: 8, _BYTE_ARRAY: 4}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A column of values: its path, and how many bytes a value takes."""

    path: str
    type: int
    width: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The pages of a column in a row group: where they are, and how many values they have."""

    leaf: Leaf
    start: int
    end: int
    values: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself."""

    rows: int
    leaves: Sequence[Leaf]
    chunks: Sequence[Chunk]


def read_footer(data: bytes) -> Footer:
    """Read the footer. Raises `ValueError`, `KeyError` or `IndexError` where it is bad."""
    if len(data) < len(_MAGIC) + _TAIL_BYTES or data[-4:] != _MAGIC or data[:4] != _MAGIC:
        raise ValueError("it has no magic number")
    (size,) = struct.unpack("<I", data[-8:-4])
    start = len(data) - _TAIL_BYTES - size
    if start < len(_MAGIC) or size > _MAX_BYTES:
        raise ValueError(f"a footer of {size} bytes is not supported")
    fields = Reader(data[start:-8]).struct(_LAYOUT)
    if _ENCRYPTION in fields:
        raise ValueError("it is encrypted")
    leaves = _leaves(fields[_SCHEMA])
    groups = fields[_ROW_GROUPS]
    chunks = [chunk for group in groups for chunk in _chunks(group, leaves, start)]
    rows = sum(group[_GROUP_ROWS] for group in groups)
    if rows != fields[_NUM_ROWS] or not leaves:
        raise ValueError("it has no columns, or other rows than its row groups")
    return Footer(rows, leaves, chunks)


def _leaves(elements: Sequence[Struct]) -> list[Leaf]:
    """Return the columns of a schema, which is a tree written depth first."""
    if len(elements) > _MAX_ELEMENTS:
        raise ValueError(f"its schema has more than {_MAX_ELEMENTS} elements")
    leaves = []
    missing = [elements[0][_NUM_CHILDREN]]  # children of the groups that are open
    names: list[str] = []
    for element in elements[1:]:
        while missing and not missing[-1]:
            missing.pop()
            names.pop()
        missing[-1] -= 1
        name = element[_NAME].decode()
        children = element.get(_NUM_CHILDREN, 0)
        if children < 0 or len(missing) > _MAX_DEPTH:
            raise ValueError(f"a column nests deeper than {_MAX_DEPTH} levels")
        if children:
            missing.append(children)
            names.append(name)
        else:
            leaves.append(_leaf(element, ".".join([*names, name])))
    if any(missing):
        raise ValueError("its schema is cut short")
    return leaves


def _leaf(element: Struct, path: str) -> Leaf:
    type_ = element[_ELEMENT_TYPE]
    width = element[_ELEMENT_LENGTH] if type_ == _FIXED else _WIDTHS.get(type_, 0)
    if width < 0:
        raise ValueError("a column has values of less than no bytes")
    return Leaf(path, type_, width)


def _chunks(group: Struct, leaves: Sequence[Leaf], end_of_pages: int) -> Iterator[Chunk]:
    rows, columns = group[_GROUP_ROWS], group[_COLUMNS]
    if rows < 0 or len(columns) != len(leaves):
        raise ValueError("a row group has other columns than its schema")
    for leaf, column in zip(leaves, columns, strict=True):
        if _FILE_PATH in column or _CRYPTO in column:
            raise ValueError("a column is in another file, or encrypted")
        meta = column[_META_DATA]
        start, dictionary = meta[_DATA_OFFSET], meta.get(_DICTIONARY_OFFSET, 0)
        if 0 < dictionary < start:
            start = dictionary
        end = start + meta[_COMPRESSED]
        if meta[_TYPE] != leaf.type or meta[_NUM_VALUES] < rows:
            raise ValueError("a column has another type than its schema, or too few values")
        if not len(_MAGIC) <= start <= end <= end_of_pages:
            raise ValueError("a column lies outside of the file")
        yield Chunk(leaf, start, end, meta[_NUM_VALUES])
