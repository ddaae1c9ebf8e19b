"""NDJSON bodies for tests, read in each of the three ways."""

import pyarrow as pa

from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.decode.ndjson.reader import Reader
from lakegate.errors import ErrorCode, LakegateError
from lakegate.model import Body, DecodedGroup

DEFAULT = NdjsonDecoder.default_schema

READERS = {
    "one by one": Reader(little_bytes=100_000),
    "as shapes": Reader(little_bytes=1),
    "as a mix": Reader(little_bytes=1, max_templates=0),
}


def decode(decoder: NdjsonDecoder, *bodies: bytes, schema: pa.Schema = DEFAULT) -> DecodedGroup:
    return decoder.decode([Body(data) for data in bodies], schema)


def rows(group: DecodedGroup) -> list[dict[str, object]]:
    listed = group.rows.to_pylist()
    return [{k: v for k, v in row.items() if v is not None} for row in listed]


def refusal(group: DecodedGroup, body: int = 0) -> LakegateError:
    outcome = group.outcomes[body]
    assert isinstance(outcome, LakegateError)
    assert outcome.code is ErrorCode.BAD_REQUEST_BODY
    return outcome
