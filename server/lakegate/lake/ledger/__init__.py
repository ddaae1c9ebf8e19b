"""The ledger: which keyed batches are in a table, so that a retry is not applied again.

Each keyed batch has an entry: *pending* from its claim on, *applied* once its commit is settled.
The protocol and its proof are in `docs/exactly-once.md`. In order of reading:

- `entries`: what is stored of a batch, and its commit id in the summary of a snapshot;
- `schema`: the database table and its migrations;
- `ledger`: the transactions, with the statements in `claiming` and `queries`;
- `pending_snapshots`: the snapshots that retention keeps for retries;
- `expiry`: the periodic deletion of old entries.
"""
