"""What the pages of a Parquet file claim to be once they are read: bytes and values.

Arrow allocates what the header of a page claims before it looks at the page, so every header
that Arrow will read is read here first, from where Arrow starts and for as long.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lakegate.decode.parquet.footer import Chunk, Footer
from lakegate.decode.parquet.thrift import I32, STRUCT, Reader, Struct

_MAX_PAGES = 100_000

# Names and ids of fields, and values of enums, are those of parquet.thrift.
_TYPE, _UNCOMPRESSED, _COMPRESSED = (1, I32), (2, I32), (3, I32)
_NUM_VALUES, _DELTA_BYTE_ARRAY = (1, I32), 7
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_HEADERS = {_DATA_PAGE: (5, STRUCT), _DICTIONARY_PAGE: (7, STRUCT), _DATA_PAGE_V2: (8, STRUCT)}
_ENCODINGS = {_DATA_PAGE: (2, I32), _DICTIONARY_PAGE: (2, I32), _DATA_PAGE_V2: (4, I32)}


class Claim(NamedTuple):
    """The bytes of a page in memory, and the number of its values."""

    size: int
    values: int


def claims(data: bytes, footer: Footer) -> Iterator[Claim]:
    """Yield what each page claims.

    Raises `ValueError`, `KeyError` or `IndexError` for what is bad, or cannot be bounded.
    """
    pages = 0
    for chunk in footer.chunks:
        for claim in _claims_of_chunk(data, chunk):
            pages += 1
            if pages > _MAX_PAGES:
                raise ValueError(f"it has more than {_MAX_PAGES} pages")
            yield claim


def _claims_of_chunk(data: bytes, chunk: Chunk) -> Iterator[Claim]:
    reader = Reader(data, chunk.start)
    missing = chunk.values
    while missing > 0:
        if reader.position >= chunk.end:
            raise ValueError("a column has fewer values than it claims")
        header = reader.struct({})
        size, compressed = header[_UNCOMPRESSED], header[_COMPRESSED]
        if size < 0 or not 0 <= compressed <= chunk.end - reader.position:
            raise ValueError("a page lies outside of its column")
        reader.position += compressed
        values = _values(header)
        if header[_TYPE] != _DICTIONARY_PAGE:
            missing -= values
        yield Claim(max(size, chunk.leaf.width * values), values)


def _values(header: Struct) -> int:
    """Return how many values a page has."""
    type_ = header[_TYPE]
    if type_ not in _HEADERS:
        raise ValueError(f"pages of type {type_} are not supported")
    page = header[_HEADERS[type_]]
    if page[_ENCODINGS[type_]] == _DELTA_BYTE_ARRAY:
        raise ValueError("the encoding DELTA_BYTE_ARRAY is not supported: its size is not bounded")
    values: int = page[_NUM_VALUES]
    if values < 0:
        raise ValueError("a page has a negative number of values")
    return values
