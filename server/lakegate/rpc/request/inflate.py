"""Compressed bodies: inflated here, piece by piece, and never beyond the limit.

Envoy could do it, but its filters answer a broken or oversized body by cutting
it short, and NDJSON that is cut short is a smaller body, not a wrong one.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from lakegate.errors import ErrorCode, LakegateError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
# RFC 9659: what a zstd body over HTTP may ask a receiver to keep in memory, 8 MiB.
_ZSTD_WINDOW_LOG_MAX = 23
# What is left of a piece is copied for each part in it, so pieces are small.
_PIECE_BYTES = 16 * 1024
# A part takes its time whatever is in it; files of many, as of bgzip, have one for 64 KiB.
_MAX_PARTS = 10_000


class Inflater(Protocol):
    """Undoes one Content-Encoding."""

    def inflate(self, data: bytes, limit: int) -> bytes:
        """Inflate the next piece of a body.

        Gives more than `limit` bytes, though few more, only where the piece
        inflates to more; what is left of it is then lost. Blocks.
        """
        ...

    def finish(self) -> None:
        """Raise `LakegateError` (bad_request_body) where the body has not come to its end."""
        ...


def inflater(content_encoding: str) -> Inflater | None:
    """Return what undoes `content_encoding` (RFC 9110, section 8.4.1); None for no encoding."""
    encoding = content_encoding.strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip"}:
        return _Parts("gzip", _gzip_member, zlib.error)
    if encoding == "zstd":
        return _Parts("zstd", _zstd_frame, zstd.ZstdError)
    raise LakegateError(
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Encoding {encoding[:100]!r} is not taken: send gzip, zstd or none",
    )


class _Part(Protocol):
    """A member of gzip (RFC 1952) or a frame of zstd (RFC 8878), as their libraries have it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes:
        """What came after its end; empty before that."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Parts:
    """Inflates what is made of parts, one after the other."""

    def __init__(self, name: str, new_part: Callable[[], _Part], error: type[Exception]) -> None:
        self._name = name
        self._new_part = new_part
        self._error = error
        self._part = new_part()
        self._ended = 0
        self._inside = False

    def inflate(self, data: bytes, limit: int) -> bytes:
        inflated = bytearray()
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            while piece and len(inflated) <= limit:
                try:
                    inflated += self._part.decompress(piece, limit - len(inflated) + 1)
                except self._error as error:
                    raise _broken(self._name, str(error)) from error
                piece = self._part.unused_data
                self._inside = not self._part.eof
                if self._part.eof:
                    self._begin_another()
        return bytes(inflated)

    def finish(self) -> None:
        if self._inside:
            raise _broken(self._name, "it is cut short")

    def _begin_another(self) -> None:
        self._ended += 1
        if self._ended > _MAX_PARTS:
            raise _broken(self._name, f"it has more than {_MAX_PARTS} parts")
        self._part = self._new_part()


def _gzip_member() -> _Part:
    return zlib.decompressobj(_GZIP_WINDOW_BITS)


def _zstd_frame() -> zstd.ZstdDecompressor:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
    return zstd.ZstdDecompressor(options=options)


def _broken(encoding: str, words: str) -> LakegateError:
    return LakegateError(ErrorCode.BAD_REQUEST_BODY, f"the {encoding} body is broken: {words}")
