"""Keyed batches for tests: with an idempotency key, or a place in a stream."""

from dataclasses import replace
from typing import Any

from tests.testing.lines import ORDERS, LinesDecoder, batch

from lakegate.model import Batch, StreamPosition, TableName


def keyed(
    decoder: LinesDecoder, key: str, *rows: dict[str, Any], table: TableName = ORDERS
) -> Batch:
    return replace(batch(decoder, *rows, table=table), idempotency_key=key)


def placed(decoder: LinesDecoder, stream_id: str, offset: int, *rows: dict[str, Any]) -> Batch:
    rows = rows or ({"label": f"{stream_id}-{offset}"},)
    return replace(batch(decoder, *rows), position=StreamPosition(stream_id, offset))
