"""Whatever bytes come: rows, or a refusal that blames the caller. No fault of ours, no hang."""

import faulthandler

import pyarrow as pa
import pytest
from tests.fuzz.conftest import inputs

from lakegate.batches import Body, Decoder
from lakegate.decode.arrow import ArrowDecoder
from lakegate.decode.ndjson import NdjsonDecoder
from lakegate.decode.query_events import QueryEventDecoder
from lakegate.errors import LakegateError

HANG_SECONDS = 60
TYPED = pa.schema(
    [
        ("at", pa.timestamp("us", tz="UTC")),
        ("label", pa.string()),
        ("props", pa.string()),
        ("n", pa.int32()),
        ("f", pa.float64()),
        ("d", pa.date32()),
        ("b", pa.bool_()),
        ("v", pa.list_(pa.float32())),
    ]
)


@pytest.fixture
def decoder(kind: str) -> Decoder:
    decoders: dict[str, Decoder] = {
        "ndjson": NdjsonDecoder(),
        "arrow": ArrowDecoder(max_new_columns=32, max_table_columns=1000),
        "query_events": QueryEventDecoder(),
    }
    return decoders[kind]


def test_every_input_is_decoded_or_refused_to_its_sender(kind: str, decoder: Decoder) -> None:
    schemas = (
        [decoder.default_schema] if kind == "query_events" else [decoder.default_schema, TYPED]
    )
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    try:
        for number, data in enumerate(inputs(kind)):
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            decode(decoder, data, schemas[number % len(schemas)])
    finally:
        faulthandler.cancel_dump_traceback_later()


def decode(decoder: Decoder, data: bytes, schema: pa.Schema) -> None:
    try:
        decoded = decoder.decode([Body(data)], schema)
        [outcome] = decoded.outcomes
        if isinstance(outcome, LakegateError):
            assert outcome.code.value.http_status in {400, 413}
            assert "Traceback" not in outcome.message
            assert len(decoded.rows) == 0
        else:
            assert len(decoded.rows) == outcome
            decoded.rows.validate(full=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        pytest.fail(f"put this into the corpus: {data!r}: {error!r}")
