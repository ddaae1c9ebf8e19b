"""The step from the wire to the lake: append a batch, log it, acknowledge it."""

import logging
from typing import Protocol

from lakegate import model
from lakegate.model import Batch
from lakegate.v1.acknowledgement_pb2 import Acknowledgement

_log = logging.getLogger("lakegate.rpc")


class Append(Protocol):
    """What servicers need of the lake."""

    async def append(self, batch: Batch) -> model.Acknowledgement:
        """Commit a batch; return once its rows are in a snapshot."""
        ...


async def append(lake: Append, batch: Batch) -> Acknowledgement:
    """Append `batch` and return the acknowledgement to send."""
    done = await lake.append(batch)
    _log.info(
        "%s: %d rows in snapshot %s, idempotency key %s",
        batch.table,
        done.rows_ingested,
        done.snapshot_id or "none",
        batch.idempotency_key or "none",
    )
    return Acknowledgement(
        snapshot_id=done.snapshot_id,
        extent_count=done.extent_count,
        rows_ingested=done.rows_ingested,
        bytes_written=done.bytes_written,
        replayed=done.replayed,
    )
