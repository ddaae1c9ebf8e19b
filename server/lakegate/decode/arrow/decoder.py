"""Arrow IPC streams to Arrow tables."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.ipc

from lakegate.decode.arrow.claims import Claims, read_claims
from lakegate.decode.limits import MAX_WRITTEN_BYTES
from lakegate.decode.tabular.decoder import TabularDecoder
from lakegate.decode.tabular.source import ArrowSource
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, MemoryEstimate, TooLargeError

_NOT_A_STREAM = (pa.ArrowException, OSError, EOFError, ValueError, OverflowError)


class ArrowDecoder(TabularDecoder):
    """Decodes bodies that are Arrow IPC streams (Arrow columnar format, "IPC Streaming Format")."""

    media_types = ("application/vnd.apache.arrow.stream",)
    field = "arrow_ipc"

    def open(self, data: bytes) -> ArrowSource:
        """Read a stream whose buffers take no more than a body may."""
        try:
            read_claims(data, self._max_body_bytes)
            with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
                table = reader.read_all()
            table.validate(full=True)
        except _NOT_A_STREAM as error:
            raise LakegateError(
                ErrorCode.BAD_REQUEST_BODY, f"The body is no Arrow IPC stream: {error}"
            ) from None
        return ArrowSource(table, self._max_body_bytes)

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Return what the headers of the batches claim."""
        size = cells = 0
        for body in bodies:
            claims = self._claims(body.data)
            size += claims.size + min(claims.expanded, self._max_body_bytes)
            size += min(claims.names, MAX_WRITTEN_BYTES)
            cells += claims.values + claims.rows * columns
        return MemoryEstimate(size, cells)

    def _claims(self, data: bytes) -> Claims:
        """Return what a stream claims; a bad one, which is refused before it is read, nothing."""
        try:
            return read_claims(data, self._max_body_bytes)
        except (*_NOT_A_STREAM, LakegateError, TooLargeError):
            return Claims(len(data), 0, 0)
