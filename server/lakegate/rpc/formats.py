"""Which decoder reads a body: by its media type over REST, by its field in gRPC."""

from dataclasses import dataclass

from lakegate.batches import Decoder
from lakegate.errors import ErrorCode, LakegateError

# JSON is taken as NDJSON of one line or more.
_NDJSON_TYPES = {
    "",
    "application/json",
    "application/jsonl",
    "application/ndjson",
    "application/x-jsonlines",
    "application/x-ndjson",
    "text/plain",
}
_ARROW_TYPE = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Formats:
    """The decoders of the formats that any table takes."""

    ndjson: Decoder
    arrow: Decoder

    def of_media_type(self, content_type: str) -> Decoder:
        """Give the decoder of a `Content-Type`; its parameters do not matter."""
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type in _NDJSON_TYPES:
            return self.ndjson
        if media_type == _ARROW_TYPE:
            return self.arrow
        raise LakegateError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {media_type[:100]!r} is not taken: "
            f"send application/x-ndjson or {_ARROW_TYPE}",
        )
