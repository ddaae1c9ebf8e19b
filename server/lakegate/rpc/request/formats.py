"""Selects the decoder of a body: by its media type over REST, by its field in gRPC."""

from collections.abc import Sequence
from typing import Protocol

from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Decoder


class RowDecoder(Decoder, Protocol):
    """A decoder of a format for the rows of any table.

    `media_types`: of its bodies over REST, the one to recommend first.
    `field`: of `IngestRequest`; None where a message has none.
    """

    @property
    def media_types(self) -> Sequence[str]: ...  # noqa: D102  # above

    @property
    def field(self) -> str | None: ...  # noqa: D102  # above


class Formats:
    """The decoders of the formats for any table."""

    def __init__(self, decoders: Sequence[RowDecoder]) -> None:
        """Use these decoders; the first decodes bodies without a media type.

        Raises `ValueError` where two have a media type or a field in common.
        """
        self.default = decoders[0]
        self._recommended = [decoder.media_types[0] for decoder in decoders]
        self._by_media_type: dict[str, RowDecoder] = {"": self.default}
        self._by_field: dict[str, RowDecoder] = {}
        for decoder in decoders:
            for media_type in decoder.media_types:
                _add(self._by_media_type, media_type, decoder)
            if decoder.field is not None:
                _add(self._by_field, decoder.field, decoder)

    def of_media_type(self, content_type: str) -> Decoder:
        """Return the decoder of a `Content-Type`; its parameters do not matter."""
        media_type = content_type.partition(";")[0].strip().lower()
        decoder = self._by_media_type.get(media_type)
        if decoder is None:
            raise LakegateError(
                ErrorCode.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Type {media_type[:100]!r} is not supported: "
                f"send one of {', '.join(self._recommended)}",
            )
        return decoder

    def of_field(self, field: str | None) -> Decoder:
        """Return the decoder of the field of `IngestRequest` that is set."""
        decoder = None if field is None else self._by_field.get(field)
        if decoder is None:
            raise LakegateError(
                ErrorCode.INVALID_ARGUMENT,
                f"rows are missing: set one of {', '.join(self._by_field)}",
            )
        return decoder


def _add(decoders: dict[str, RowDecoder], key: str, decoder: RowDecoder) -> None:
    if key in decoders:
        raise ValueError(f"two formats are called {key}")
    decoders[key] = decoder
