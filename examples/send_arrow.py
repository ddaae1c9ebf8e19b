"""An Arrow stream into a table with typed columns: the fastest way in.

Usage: send_arrow.py [URL]
"""

import datetime as dt
import sys

import httpx
import pyarrow as pa

COLUMNS = [
    {"name": "at", "type": "timestamp"},
    {"name": "sensor", "type": "int"},
    {"name": "celsius", "type": "real"},
]


def main(url: str = "http://localhost:8080") -> None:
    """Make the table `readings`, partitioned by day, and send a thousand rows."""
    httpx.post(
        f"{url}/v1/admin/databases/default/tables/readings",
        json={"columns": COLUMNS, "partition_by": ["day(at)"]},
        timeout=60,
    ).raise_for_status()

    noon = dt.datetime(2026, 5, 2, 12, tzinfo=dt.UTC)
    rows = pa.table(
        {
            "at": pa.array([noon + dt.timedelta(seconds=i) for i in range(1000)]),
            "sensor": pa.array([i % 8 for i in range(1000)], pa.int32()),
            "celsius": pa.array([20 + i / 100 for i in range(1000)]),
        }
    )
    body = pa.BufferOutputStream()
    with pa.ipc.new_stream(body, rows.schema) as writer:
        writer.write_table(rows)  # the end of the block writes the end-of-stream marker
    answer = httpx.post(
        f"{url}/v1/ingest",
        content=body.getvalue().to_pybytes(),
        headers={"X-Table": "readings", "Content-Type": "application/vnd.apache.arrow.stream"},
        timeout=60,
    )
    answer.raise_for_status()
    print(answer.json()["rows_ingested"], "rows in snapshot", answer.json()["snapshot_id"])


if __name__ == "__main__":
    main(*sys.argv[1:])
