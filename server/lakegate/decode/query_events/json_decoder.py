"""Query events to Arrow, from the JSON bodies of REST."""

from collections.abc import Sequence

import pyarrow as pa

from lakegate.decode.query_events.decoder import SCHEMA, checked
from lakegate.decode.query_events.payload import events_of
from lakegate.decode.text import count
from lakegate.errors import LakegateError
from lakegate.model import Body, DecodedGroup, MemoryEstimate, TooLargeError

_CELLS_OF_EVENT = 8  # an event is two Python objects for a while


class JsonQueryEventDecoder:
    """Decodes bodies that are one event, or an array of them."""

    default_schema = SCHEMA

    def decode(self, bodies: Sequence[Body], schema: pa.Schema) -> DecodedGroup:
        """Decode a group of bodies, as `QueryEventDecoder` does."""
        del schema  # the shape of an event is fixed
        refusals: dict[int, LakegateError] = {}
        events = []
        for i, body in enumerate(bodies):
            try:
                events.append(events_of(body.data))
            except TooLargeError as error:
                refusals[i] = error.refusal()
            except LakegateError as error:
                refusals[i] = error
            if i in refusals:
                events.append(events_of(b"[]"))
        offsets = [0]
        for each in events:
            offsets.append(offsets[-1] + len(each))
        requests = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.concat_arrays(events))
        return checked(requests, refusals)

    def estimate(self, bodies: Sequence[Body], columns: int) -> MemoryEstimate:
        """Take every object for an event."""
        size = sum(len(body.data) for body in bodies)
        events = sum(count(body.data, b"{") for body in bodies)
        return MemoryEstimate(size, events * (columns + _CELLS_OF_EVENT))
