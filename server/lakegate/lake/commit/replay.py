"""A retry gets the acknowledgement of the batch that was applied under its key."""

import asyncio
import logging
from dataclasses import replace

from lakegate.errors import ErrorCode, LakegateError
from lakegate.lake.commit.in_flight_batch import InFlightBatch
from lakegate.lake.ledger.entries import Entry
from lakegate.model import Acknowledgement, Batch

log = logging.getLogger(__name__)


async def replay_of(first: InFlightBatch, batch: Batch, entry: Entry) -> Acknowledgement | None:
    """Wait for the in-flight batch `first`, and return the answer to its retry; None if it failed.

    Raises as `check_same_body`.
    """
    await asyncio.wait({first.outcome})
    acknowledgement = first.outcome.result()
    if acknowledgement is None:
        return None
    check_same_body(batch, entry, first.applied_digest)
    return replace(acknowledgement, replayed=True)


def check_same_body(batch: Batch, entry: Entry, applied_digest: str) -> None:
    """Compare the body of a retry with the body that was applied under its key.

    Raises `LakegateError` (idempotency_key_reused) if they differ and the key binds the body.
    Otherwise the body of the retry is ignored, and a warning is logged.
    """
    if not (entry.body_digest and applied_digest) or entry.body_digest == applied_digest:
        return
    if batch.key_binds_body:
        raise LakegateError(
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            "The idempotency key was used before with another body.",
        )
    log.warning(
        "%s: idempotency key %s was sent again with another body, which is ignored",
        batch.table,
        batch.idempotency_key,
    )
