"""A lake that keeps what it is given, and formats that are never decoded."""

from collections.abc import Sequence

import pyarrow as pa
from tests.testing.stub_decoder import StubDecoder

from lakegate.decode.arrow import ArrowDecoder
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Acknowledgement, Batch, Body, DecodedGroup, TableName

ACKNOWLEDGED = Acknowledgement("42", extent_count=1, rows_ingested=3, bytes_written=5183)


class Format(StubDecoder):
    """A decoder that never decodes."""

    default_schema = pa.schema([])

    def __init__(self, of: type[NdjsonDecoder | ArrowDecoder]) -> None:
        self.media_types = of.media_types
        self.field = of.field

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        raise NotImplementedError


NDJSON, ARROW = Format(NdjsonDecoder), Format(ArrowDecoder)


class Lake:
    """Keeps the batches it is given, and refuses those for the table `missing`."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def append(self, batch: Batch) -> Acknowledgement:
        if batch.table.table == "missing":
            raise LakegateError(ErrorCode.TABLE_NOT_FOUND, "no table default.missing")
        self.batches.append(batch)
        return ACKNOWLEDGED

    async def next_offset(self, name: TableName, stream_id: str) -> int:
        return len(f"{name}/{stream_id}")
