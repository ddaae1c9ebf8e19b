"""The examples that the documents of the contract print."""

ORDERS = """\
{"_timestamp":"2026-05-02T10:00:00Z","order_id":"o-1","amount_cents":4200,"status":"placed"}
{"_timestamp":"2026-05-02T10:00:04Z","order_id":"o-2","amount_cents":1850,"status":"placed"}
{"_timestamp":"2026-05-02T10:00:09Z","order_id":"o-1","amount_cents":4200,"status":"shipped"}
"""
SINGLE = {
    "context": {
        "catalog": "iceberg",
        "schema": "gold",
        "queryType": "SELECT",
        "user": "my-service",
        "userAgent": "my-client",
    },
    "timestamp": "2026-03-10T12:00:00.000Z",
    "duration_ms": 100,
    "query": "SELECT * FROM gold.my_table",
    "queryId": "test-001",
    "queryState": "FINISHED",
    "tags": ["source:my-engine"],
}
BULK = [
    {
        "context": {"catalog": "iceberg"},
        "queryId": "q-123",
        "query": "SELECT * FROM my_table",
        "queryState": "FINISHED",
        "duration_ms": 1230,
        "timestamp": "2026-03-10T12:00:00.000Z",
    },
    {
        "context": {"catalog": "iceberg"},
        "queryId": "q-124",
        "query": "SELECT count(*) FROM events",
        "queryState": "FINISHED",
        "duration_ms": 450,
        "timestamp": "2026-03-10T12:01:00.000Z",
    },
]
