"""A process with little memory that decodes one input after the other.

Run as a module: `<kind> <file>`. The file has the input that is being decoded, so that the
process may end at any moment.
"""

import faulthandler
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from tests.testing.fuzzing import inputs

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
ADDRESS_SPACE = 4 * 1024**3
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


def decoders(kind: str) -> Sequence[Decoder]:
    """Return decoders that take turns: what large groups go through takes longer."""
    match kind:
        case "arrow":
            return [ArrowDecoder()]
        case "parquet":
            return [ParquetDecoder()]
        case "json":
            return [JsonDecoder()]
        case "csv":
            return [CsvDecoder()]
        case "query_events":
            return [QueryEventDecoder()]
    as_shapes, as_a_mix = Reader(little_bytes=1), Reader(little_bytes=1, max_templates=0)
    large = [NdjsonDecoder(reader=as_shapes), NdjsonDecoder(reader=as_a_mix)]
    return [*[NdjsonDecoder()] * 7, *large]


def decode_all(kind: str, current: Path) -> int:
    """Decode inputs until one is at fault or there are enough; return their number."""
    taking_turns = decoders(kind)
    default = taking_turns[0].default_schema
    schemas = [default] if kind == "query_events" else [default, TYPED]
    number = 0
    for number, data in enumerate(inputs(kind), start=1):
        current.write_bytes(data)
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        decode(taking_turns[number % len(taking_turns)], data, schemas[number % len(schemas)])
    return number


def decode(decoder: Decoder, data: bytes, schema: pa.Schema) -> None:
    """Decode an input; it is rows, or a refusal that blames the caller."""
    decoder.estimate([Body(data)], len(schema))
    decoded = decoder.decode([Body(data)], schema)
    [outcome] = decoded.outcomes
    if isinstance(outcome, LakegateError):
        assert outcome.code.value.http_status in {400, 413}
        assert "Traceback" not in outcome.message
        assert len(decoded.rows) == 0
    else:
        assert len(decoded.rows) == outcome
        decoded.rows.validate(full=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    sys.stdout.write(f"{decode_all(sys.argv[1], Path(sys.argv[2]))}")
