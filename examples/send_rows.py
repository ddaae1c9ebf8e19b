"""Rows with an idempotency key, sent until the outcome is known.

Usage: send_rows.py [URL]
"""

import json
import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

ATTEMPTS = 10
# What another attempt may cure. With a key it is safe after `outcome_unknown` too.
RETRYABLE = {"overloaded", "unavailable", "ingest_failed", "outcome_unknown", "request_timeout"}


class RefusedError(Exception):
    """The rows were refused, and the same request would be refused again."""


def send(url: str, table: str, rows: Iterable[Mapping[str, object]]) -> dict[str, Any]:
    """Commit `rows` once; return the acknowledgement.

    Raises `RefusedError`, or `TimeoutError` where it is still not known whether they are committed.
    """
    body = "".join(json.dumps(row) + "\n" for row in rows)
    headers = {
        "X-Table": table,
        # Made once, before the first attempt: it is what makes a retry no second batch.
        "X-Idempotency-Key": str(uuid.uuid4()),
        "Content-Type": "application/x-ndjson",
    }
    for attempt in range(ATTEMPTS):
        wait = min(0.1 * 2**attempt, 10.0)
        try:
            answer = httpx.post(f"{url}/v1/ingest", content=body, headers=headers, timeout=60)
        except httpx.TransportError as error:  # no answer: the rows may be committed
            print(f"no answer: {error}", file=sys.stderr)
        else:
            if answer.is_success:
                acknowledgement: dict[str, Any] = answer.json()
                return acknowledgement
            error_body = answer.json()["error"]
            if error_body["code"] not in RETRYABLE:
                raise RefusedError(error_body["message"])
            wait = max(wait, float(answer.headers.get("Retry-After", 0)))
        time.sleep(wait)
    raise TimeoutError(f"not committed for certain after {ATTEMPTS} attempts")


def main(url: str = "http://localhost:8080") -> None:
    """Send three rows."""
    rows = [
        {"_timestamp": "2026-05-02T10:00:00Z", "order_id": "o-1", "amount_cents": 4200},
        {"_timestamp": "2026-05-02T10:00:04Z", "order_id": "o-2", "amount_cents": 1850},
        {"_timestamp": "2026-05-02T10:00:09Z", "order_id": "o-3", "amount_cents": 990},
    ]
    acknowledgement = send(url, "python_orders", rows)
    print(acknowledgement["rows_ingested"], "rows in snapshot", acknowledgement["snapshot_id"])


if __name__ == "__main__":
    main(*sys.argv[1:])
