"""What decoders of tests have in common."""

from collections.abc import Sequence

import pyarrow as pa

from lakegate.decode.arrow.decoder import ArrowDecoder
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.model import Body, DecodedGroup, MemoryEstimate


class StubDecoder:
    """A decoder of some format, whose bodies take as much memory as they have bytes."""

    media_types: Sequence[str] = ()
    field: str | None = None

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        del columns
        return MemoryEstimate(sum(len(body.data) for body in bodies), 0)


class StubFormat(StubDecoder):
    """A decoder that is known by its media types and field, and never decodes."""

    default_schema = pa.schema([])

    def __init__(self, of: type[NdjsonDecoder | ArrowDecoder]) -> None:
        self.media_types = of.media_types
        self.field = of.field

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        raise NotImplementedError


NDJSON, ARROW = StubFormat(NdjsonDecoder), StubFormat(ArrowDecoder)
