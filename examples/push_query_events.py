"""Query events of a Ryft custom engine.

Usage: push_query_events.py [URL [TOKEN]]; without TOKEN, the one in lakegate-data/dev-token
"""

import datetime as dt
import sys
import uuid
from pathlib import Path

import httpx


def event(query: str, duration_ms: int) -> dict[str, object]:
    """Describe a query that has just finished."""
    return {
        "queryId": str(uuid.uuid4()),
        "query": query,
        "queryState": "FINISHED",
        "timestamp": dt.datetime.now(dt.UTC).isoformat(),
        "duration_ms": duration_ms,
        "context": {"catalog": "iceberg", "schema": "gold", "queryType": "SELECT"},
        "tags": ["source:example"],
    }


def main(url: str = "http://localhost:8080", token: str = "") -> None:
    """Push two events, committed together."""
    answer = httpx.post(
        f"{url}/ingest/push/queries",
        json=[event("SELECT 1", 12), event("SELECT * FROM gold.orders", 340)],
        headers={"X-Ryft-Token": token or Path("lakegate-data/dev-token").read_text().strip()},
        timeout=60,
    )
    answer.raise_for_status()
    print(answer.json()["rows_ingested"], "events in snapshot", answer.json()["snapshot_id"])


if __name__ == "__main__":
    main(*sys.argv[1:])
