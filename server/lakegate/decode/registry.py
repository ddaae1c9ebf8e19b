"""The formats that rows for any table come in: an entry here and a module for each."""

from lakegate.decode.arrow.decoder import ArrowDecoder
from lakegate.decode.csv import CsvDecoder
from lakegate.decode.json_arrays import JsonDecoder
from lakegate.decode.ndjson.decoder import NdjsonDecoder
from lakegate.decode.parquet.decoder import ParquetDecoder

# The first one is that of bodies whose sender does not say what they are.
FORMATS = (NdjsonDecoder, JsonDecoder, ArrowDecoder, ParquetDecoder, CsvDecoder)

RowDecoder = NdjsonDecoder | JsonDecoder | ArrowDecoder | ParquetDecoder | CsvDecoder


def row_decoders(
    *, max_new_columns: int, max_table_columns: int, max_body_bytes: int
) -> list[RowDecoder]:
    """Return a decoder of each format."""
    return [
        format_(
            max_new_columns=max_new_columns,
            max_table_columns=max_table_columns,
            max_body_bytes=max_body_bytes,
        )
        for format_ in FORMATS
    ]
