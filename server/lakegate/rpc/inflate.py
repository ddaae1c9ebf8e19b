"""Compressed bodies: inflated here, piece by piece, and never beyond the limit.

Envoy could do it, but its filters answer a broken or oversized body by cutting
it short, and NDJSON that is cut short is a smaller body, not a wrong one.
"""

import sys
import zlib
from typing import Protocol

from lakegate.errors import ErrorCode, LakegateError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
# RFC 9659: what a zstd body over HTTP may ask a receiver to keep in memory, 8 MiB.
_ZSTD_WINDOW_LOG_MAX = 23


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
    """Give what undoes `content_encoding` (RFC 9110, section 8.4.1); None for no encoding."""
    encoding = content_encoding.strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip"}:
        return _Gzip()
    if encoding == "zstd":
        return _Zstd()
    raise LakegateError(
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Encoding {encoding[:100]!r} is not taken: send gzip, zstd or none",
    )


class _Gzip:
    """RFC 1952: one member after the other."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._inside = False

    def inflate(self, data: bytes, limit: int) -> bytes:
        inflated = bytearray()
        try:
            while data and len(inflated) <= limit:
                inflated += self._member.decompress(data, limit - len(inflated) + 1)
                data = self._member.unconsumed_tail
                self._inside = not self._member.eof
                if self._member.eof:
                    data = self._member.unused_data
                    self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        except zlib.error as error:
            raise _broken("gzip", str(error)) from error
        return bytes(inflated)

    def finish(self) -> None:
        if self._inside:
            raise _broken("gzip", "it is cut short")


class _Zstd:
    """RFC 8878: one frame after the other."""

    def __init__(self) -> None:
        self._frame = _zstd_frame()
        self._inside = False

    def inflate(self, data: bytes, limit: int) -> bytes:
        inflated = bytearray()
        try:
            while data and len(inflated) <= limit:
                inflated += self._frame.decompress(data, limit - len(inflated) + 1)
                data = b""
                self._inside = not self._frame.eof
                if self._frame.eof:
                    data = self._frame.unused_data
                    self._frame = _zstd_frame()
        except zstd.ZstdError as error:
            raise _broken("zstd", str(error)) from error
        return bytes(inflated)

    def finish(self) -> None:
        if self._inside:
            raise _broken("zstd", "it is cut short")


def _zstd_frame() -> zstd.ZstdDecompressor:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
    return zstd.ZstdDecompressor(options=options)


def _broken(encoding: str, words: str) -> LakegateError:
    return LakegateError(ErrorCode.BAD_REQUEST_BODY, f"the {encoding} body is broken: {words}")
