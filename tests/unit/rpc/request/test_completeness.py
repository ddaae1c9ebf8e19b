"""A body ends where that is proven: by Envoy's mark, or by gRPC's half-close."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any, cast

import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody
from hypothesis import given
from hypothesis import strategies as st

from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.request.completeness import whole_body
from lakegate.rpc.request.headers import Context
from lakegate.wire import BODY_END_KEY

MARK = b"0b1c-0b1d"


class Call:
    """A call as a body sees it. `open`: whether it can still be answered."""

    def __init__(self, end: str, *, is_open: bool = False, cancelled: bool = False) -> None:
        self._metadata = ((BODY_END_KEY, end),) if end else ()
        self._open = is_open
        self._cancelled = cancelled

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def cancelled(self) -> bool:
        return self._cancelled

    async def send_initial_metadata(self, metadata: Any) -> None:
        del metadata
        if not self._open:
            raise grpc.aio.InternalError("the stream was closed")


def read(call: Call, chunks: Sequence[bytes]) -> bytes:
    """Read a body to its end; raise where that is not proven."""

    async def send() -> AsyncIterator[HttpBody]:
        for data in chunks:
            yield HttpBody(data=data)

    async def receive() -> bytes:
        return b"".join([data async for _, data in whole_body(send(), cast(Context, call))])

    return asyncio.run(receive())


def is_cut_short(call: Call, chunks: Sequence[bytes]) -> bool:
    with pytest.raises(LakegateError) as refused:
        read(call, chunks)
    return (refused.value.code, refused.value.message) == (
        ErrorCode.BAD_REQUEST_BODY,
        "the body is cut short",
    )


def test_no_body_is_whole_where_none_was_sent() -> None:
    assert read(Call("mark"), []) == b""
    assert is_cut_short(Call("mark", is_open=True), [b"abc"])


def test_a_call_that_was_cancelled_has_no_body_whatever_its_end() -> None:
    for end in ("mark", f"mark {MARK.decode()}", ""):
        assert is_cut_short(Call(end, is_open=True, cancelled=True), [b"abc", MARK])


@given(
    body=st.lists(st.sampled_from([b"0", b"b", b"0b1c-", b"x" * 20, MARK[:-1], MARK[1:]])),
    cuts=st.lists(st.integers(0, 100)),
    marked=st.booleans(),
)
def test_the_mark_ends_a_body_however_it_comes(
    body: Sequence[bytes],
    cuts: Sequence[int],
    marked: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    data = b"".join(body) + (MARK if marked else b"")
    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(ends)]
    call = Call(f"mark {MARK.decode()}")
    if data.endswith(MARK):
        assert read(call, chunks) == data.removesuffix(MARK)
    else:
        assert is_cut_short(call, chunks)


@pytest.mark.parametrize("end", ["", f"mark {MARK.decode()}", "bytes x"])
def test_without_a_mark_the_call_has_to_be_open(end: str) -> None:
    chunks = [b"abc", MARK[:3]]
    assert read(Call(end, is_open=True), chunks) == b"".join(chunks)
    assert is_cut_short(Call(end), chunks)
