"""Commits: queued batches become one snapshot of their table, exactly once.

A batch passes through these modules, in order of reading:

- `committer`: the queue of one table, and the loop that takes groups from it (`batch_queue`);
- `queued_batch`: a batch and the future that its sender awaits; `in_flight_batch`: what a keyed
  batch has in addition, from its arrival to its outcome;
- `exactly_once`: which keyed batches of a group are admitted. `lookup` reads the ledger and the
  snapshots, `replay` answers retries;
- `preparation`: the bodies of a group are decoded and written to data files, which make a
  `prepared_group`;
- `group_commit`: the attempts at its commit. `claims` are its entries in the ledger, `doubt` its
  attempts without an answer;
- `snapshot`: one attempt: manifest, manifest list, and one guarded call of the catalog. `fence`
  proves that no committed file was swept, `removable` are the snapshots that it expires.

What `group_commit` does after a failed attempt:

    conflict: another writer            the table is read again, and the same data files are
    committed first                     committed on top of it, after a backoff, until the attempts
                                        or the deadline are used up: `commit_conflict`
    the data files no longer fit        the batches are queued and prepared again
    the table, or are too old
    a claim was lost: another server    the batches are queued again; those that were applied
    has claimed or applied a batch      are replayed, the others prepared again
    the ledger does not answer          keyed batches are refused: `unavailable`; the others are
                                        queued again
    the catalog cannot be read          further attempts, then `unavailable`
    the catalog does not answer the     the attempt is in doubt. The table is read again. It has the
    commit                              snapshot: the group is committed. Its history proves that it
                                        does not: the next attempt has the same snapshot id.
                                        Otherwise: `outcome_unknown`
    any other error                     a few attempts, then `ingest_failed`

Once an attempt is in doubt, every refusal of the group is `outcome_unknown`. Before each attempt
that calls the catalog the claims are made or renewed. Why that is enough for exactly once is
proven in `docs/exactly-once.md`.
"""
