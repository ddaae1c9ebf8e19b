"""Inflates compressed bodies, piece by piece, up to a limit.

Envoy could do it, but its filters answer a broken or oversized body by cutting
it short, and NDJSON that is cut short is a smaller body, not a wrong one.
"""

import sys
import zlib
from collections.abc import Callable, Mapping
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
    """Inflates a body in one Content-Encoding."""

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
    """Return an inflater of `content_encoding` (RFC 9110, section 8.4.1); None for no encoding.

    Raise `LakegateError` (unsupported_media_type) for an unknown encoding.
    """
    encoding = content_encoding.strip().lower()
    if encoding in {"", IDENTITY}:
        return None
    make_inflater = _INFLATERS.get(encoding)
    if make_inflater is None:
        raise LakegateError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding {encoding[:100]!r} is not supported: "
            f"send one of {', '.join(ENCODINGS)}",
        )
    return make_inflater()


class _Part(Protocol):
    """A member of gzip (RFC 1952) or a frame of zstd (RFC 8878), as their libraries have it."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes:
        """The bytes after its end; empty before its end."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Parts:
    """Inflates a body that is a sequence of parts."""

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


def _gzip() -> Inflater:
    return _Parts("gzip", _gzip_member, zlib.error)


def _zstd() -> Inflater:
    return _Parts("zstd", _zstd_frame, zstd.ZstdError)


_INFLATERS: Mapping[str, Callable[[], Inflater]] = {"gzip": _gzip, "zstd": _zstd, "x-gzip": _gzip}
IDENTITY = "identity"
# The encodings to recommend: `x-gzip` is an old name of gzip.
ENCODINGS = ("gzip", "zstd", IDENTITY)


def _broken(encoding: str, reason: str) -> LakegateError:
    return LakegateError(ErrorCode.BAD_REQUEST_BODY, f"the {encoding} body is broken: {reason}")
