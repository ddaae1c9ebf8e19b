"""Whatever bytes come: rows, or a refusal that blames the caller. No fault of ours, no hang."""

import faulthandler
from collections.abc import Sequence

import pyarrow as pa
import pytest
from tests.fuzz.conftest import inputs

from lakegate.decode.arrow.decoder import ArrowDecoder
from lakegate.decode.csv import CsvDecoder
from lakegate.decode.json_arrays import JsonDecoder
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.decode.ndjson.reader import Reader
from lakegate.decode.parquet.decoder import ParquetDecoder
from lakegate.decode.query_events.decoder import QueryEventDecoder
from lakegate.errors import LakegateError
from lakegate.model import Body, Decoder

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
def decoders(kind: str) -> Sequence[Decoder]:
    """Return decoders that take turns: what large groups go through takes longer."""
    if kind == "arrow":
        return [ArrowDecoder(max_new_columns=32, max_table_columns=1000)]
    if kind == "parquet":
        return [ParquetDecoder(max_new_columns=32, max_table_columns=1000)]
    if kind == "json":
        return [JsonDecoder(max_new_columns=32, max_table_columns=1000)]
    if kind == "csv":
        return [CsvDecoder(max_new_columns=32, max_table_columns=1000)]
    if kind == "query_events":
        return [QueryEventDecoder()]
    as_shapes, as_a_mix = Reader(little_bytes=1), Reader(little_bytes=1, max_templates=0)
    large = [NdjsonDecoder(reader=as_shapes), NdjsonDecoder(reader=as_a_mix)]
    return [*[NdjsonDecoder()] * 7, *large]


def test_every_input_is_decoded_or_refused_to_its_sender(
    kind: str, decoders: Sequence[Decoder]
) -> None:
    default = decoders[0].default_schema
    schemas = [default] if kind == "query_events" else [default, TYPED]
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    try:
        for number, data in enumerate(inputs(kind)):
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            decode(decoders[number % len(decoders)], data, schemas[number % len(schemas)])
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
