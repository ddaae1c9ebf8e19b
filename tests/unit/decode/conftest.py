"""What tests of decoders share."""

import pytest
from tests.testing.decode.ndjson_bodies import READERS

from lakegate.decode.ndjson.decoder import NdjsonDecoder


@pytest.fixture(params=READERS)
def decoder(request: pytest.FixtureRequest) -> NdjsonDecoder:
    return NdjsonDecoder(reader=READERS[request.param])
