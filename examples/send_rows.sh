#!/usr/bin/env bash
# Rows with curl, and the same request again: the retry writes nothing.
# Usage: examples/send_rows.sh [URL]
set -euo pipefail
url=${1:-http://localhost:8080}
key=$(python3 -c 'import uuid; print(uuid.uuid4())') # without a key the script ends here

send() {
  curl --silent --show-error --fail-with-body "$url/v1/ingest" \
    --header "X-Table: shell_orders" \
    --header "X-Idempotency-Key: $key" \
    --header "Content-Type: application/x-ndjson" \
    --data-binary @- <<'ROWS'
{"_timestamp":"2026-05-02T10:00:00Z","order_id":"o-1","amount_cents":4200,"status":"placed"}
{"_timestamp":"2026-05-02T10:00:04Z","order_id":"o-2","amount_cents":1850,"status":"placed"}
ROWS
  echo
}

send # "replayed":false
send # "replayed":true
