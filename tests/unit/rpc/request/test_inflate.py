"""Compressed bodies inflate whole or are refused, and never beyond the limit."""

import gzip
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.request.inflate import inflater

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
ENCODINGS = pytest.mark.parametrize("encoding", list(COMPRESS))


def inflate(encoding: str, *pieces: bytes, limit: int = MIB) -> bytes:
    body = b""
    inflating = inflater(encoding)
    assert inflating
    for piece in pieces:
        body += inflating.inflate(piece, limit - len(body))
    inflating.finish()
    return body


def refusal(encoding: str, *pieces: bytes) -> LakegateError:
    with pytest.raises(LakegateError) as raised:
        inflate(encoding, *pieces)
    return raised.value


@ENCODINGS
@given(bodies=st.lists(st.binary(), max_size=3), cut=st.integers(0, 200))
def test_bodies_inflate_however_they_are_cut_and_joined(
    encoding: str, bodies: list[bytes], cut: int
) -> None:
    compressed = b"".join(COMPRESS[encoding](body) for body in bodies)
    assert inflate(encoding, compressed[:cut], compressed[cut:]) == b"".join(bodies)


@pytest.mark.parametrize("encoding", ["", "identity"])
def test_a_body_without_an_encoding_passes_as_it_is(encoding: str) -> None:
    assert inflater(encoding) is None


@ENCODINGS
def test_a_body_that_is_cut_short_is_refused(encoding: str) -> None:
    compressed = COMPRESS[encoding](bytes(range(256)) * 100)
    error = refusal(encoding, compressed[:-1])
    assert error.code is ErrorCode.BAD_REQUEST_BODY
    assert error.message == f"the {encoding} body is broken: it is cut short"


@ENCODINGS
def test_a_body_that_is_no_such_thing_is_refused(encoding: str) -> None:
    assert refusal(encoding, b'{"a":1}\n').code is ErrorCode.BAD_REQUEST_BODY


@ENCODINGS
def test_a_bomb_is_not_inflated_beyond_the_limit(encoding: str) -> None:
    bomb = COMPRESS[encoding](bytes(64 * MIB))
    inflating = inflater(encoding)
    assert inflating
    assert len(inflating.inflate(bomb, MIB)) == MIB + 1


def test_a_zstd_frame_may_not_ask_for_more_than_8_mib_of_memory() -> None:
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    greedy = compressor.compress(bytes(100)) + compressor.flush()
    assert refusal("zstd", greedy).code is ErrorCode.BAD_REQUEST_BODY


def test_an_encoding_that_is_not_known_is_refused() -> None:
    with pytest.raises(LakegateError) as raised:
        inflater("br")
    assert raised.value.code is ErrorCode.UNSUPPORTED_MEDIA_TYPE


@ENCODINGS
def test_a_body_of_very_many_parts_is_refused(encoding: str) -> None:
    part = COMPRESS[encoding](b"")
    assert inflate(encoding, part * 10_000) == b""
    error = refusal(encoding, part * 10_001)
    assert error.code is ErrorCode.BAD_REQUEST_BODY
    assert error.message == f"the {encoding} body is broken: it has more than 10000 parts"
