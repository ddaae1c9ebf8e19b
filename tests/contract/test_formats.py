"""The formats that rows come in: what the decoders declare is what callers can send."""

import pytest

from lakegate.decode.registry import FORMATS, RowDecoder, row_decoders
from lakegate.errors import ErrorCode, LakegateError
from lakegate.rpc.request.formats import Formats
from lakegate.v1.ingest_pb2 import IngestRequest

DECODERS = row_decoders(max_new_columns=32, max_table_columns=1000, max_body_bytes=1000)


def test_every_field_of_a_message_has_a_decoder_and_every_decoder_its_field() -> None:
    fields = {field.name for field in IngestRequest.DESCRIPTOR.oneofs_by_name["rows"].fields}
    assert {format_.field for format_ in FORMATS if format_.field} == fields


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: str(decoder.media_types[0]))
def test_a_format_is_found_by_each_of_its_media_types_and_its_field(decoder: RowDecoder) -> None:
    formats = Formats(DECODERS)
    for media_type in decoder.media_types:
        assert formats.of_media_type(f"{media_type.upper()}; charset=utf-8") is decoder
    if decoder.field:
        assert formats.of_field(decoder.field) is decoder


def test_an_unknown_format_is_an_error_that_names_those_that_are_known() -> None:
    formats = Formats(DECODERS)
    with pytest.raises(LakegateError) as by_media_type:
        formats.of_media_type("application/vnd.apache.avro")
    with pytest.raises(LakegateError) as by_field:
        formats.of_field("avro")

    assert by_media_type.value.code is ErrorCode.UNSUPPORTED_MEDIA_TYPE
    assert by_field.value.code is ErrorCode.INVALID_ARGUMENT
    for format_ in FORMATS:
        assert format_.media_types[0] in by_media_type.value.message
        assert not format_.field or format_.field in by_field.value.message


def test_two_formats_cannot_have_one_name() -> None:
    with pytest.raises(ValueError, match="application/x-ndjson"):
        Formats([DECODERS[0], DECODERS[0]])
