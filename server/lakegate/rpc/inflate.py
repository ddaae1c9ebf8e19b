"""Compressed bodies: inflated here, piece by piece, and never beyond the limit.

Envoy could do it, but its filters answer a broken or oversized body by cutting
it short, and NDJSON that is cut short is a smaller body, not a wrong one.
"""

import sys
import zlib
from typing import Protocol

from typing_extensions import override

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


class _Parts:
    """Inflates what is made of parts, one after the other: members of gzip, frames of zstd."""

    name: str

    def __init__(self) -> None:
        self._parts = 0
        self._inside = False

    def inflate(self, data: bytes, limit: int) -> bytes:
        inflated = bytearray()
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            while piece and len(inflated) <= limit:
                some, piece, ended = self._step(piece, limit - len(inflated) + 1)
                inflated += some
                self._inside = not ended
                self._parts += ended
                if self._parts > _MAX_PARTS:
                    raise _broken(self.name, f"it has more than {_MAX_PARTS} parts")
        return bytes(inflated)

    def finish(self) -> None:
        if self._inside:
            raise _broken(self.name, "it is cut short")

    def _step(self, piece: bytes, limit: int) -> tuple[bytes, bytes, bool]:
        """Give what comes of a piece, what is left of it, and whether a part has ended."""
        raise NotImplementedError


class _Gzip(_Parts):
    """RFC 1952."""

    name = "gzip"

    def __init__(self) -> None:
        super().__init__()
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)

    @override
    def _step(self, piece: bytes, limit: int) -> tuple[bytes, bytes, bool]:
        member = self._member
        try:
            some = member.decompress(piece, limit)
        except zlib.error as error:
            raise _broken(self.name, str(error)) from error
        if not member.eof:
            return some, member.unconsumed_tail, False
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        return some, member.unused_data, True


class _Zstd(_Parts):
    """RFC 8878."""

    name = "zstd"

    def __init__(self) -> None:
        super().__init__()
        self._frame = _zstd_frame()

    @override
    def _step(self, piece: bytes, limit: int) -> tuple[bytes, bytes, bool]:
        frame = self._frame
        try:
            some = frame.decompress(piece, limit)
        except zstd.ZstdError as error:
            raise _broken(self.name, str(error)) from error
        if not frame.eof:
            return some, b"", False
        self._frame = _zstd_frame()
        return some, frame.unused_data, True


def _zstd_frame() -> zstd.ZstdDecompressor:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
    return zstd.ZstdDecompressor(options=options)


def _broken(encoding: str, words: str) -> LakegateError:
    return LakegateError(ErrorCode.BAD_REQUEST_BODY, f"the {encoding} body is broken: {words}")
