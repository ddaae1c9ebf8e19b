"""The ledger: which batches are in a table already, so that a retry is no second time.

A batch has an *entry* by its idempotency key, or by its place in a stream. All
entries of a group commit go together through

1. *claim*: one transaction writes (entry, commit id, pending), before the commit;
2. *commit*: the snapshot's summary carries the commit id (`lakegate.commit-id`);
3. *settle*: one transaction writes (applied, what the acknowledgement says).

The answers come after the commit; who asks before the settle finds the commit by
its id. An applied entry is replayed. A pending one has a claimant that is at work,
slow, or dead, and nobody can tell which. Its lease is waited for, and its commit id
looked for in the table's snapshots: found, it is settled and replayed; not found, and
the lease over, the entry is *taken over*: the ledger's row gets the new commit id, if
it has still the old one, and keeps the old ones as *displaced*.

Why the rows of an entry are in the table at most once
------------------------------------------------------
A commit is guarded: it is based on a version S of the table, and comes through
only if S is still the current one (`assert-ref-snapshot-id`). Call S the base.
Before each attempt, and after its base was read, a claimant makes sure of two things:

(a) the ledger still gives it the entry (the claim itself, or later its renewal);
(b) no displaced commit of the entry is among the snapshots of the base, nor one of its
    own, from an attempt that seemed to have failed.

Let A and B both have committed an entry. In the ledger one came after the
other, so say that B, or one between the two, displaced A at the time t. The
rows of the ledger are only ever changed by who has them, so B has A's commit id
among the displaced.

- If A's commit came first, it was in the table when B's came, hence in B's
  base, for that was current then. By (b) B would not have committed.
- If B's commit came first, it was in A's base, for that was current when A's
  came. So A read its base after B's commit, which was after t, and checked the
  ledger after that. By (a) A would not have committed.

No clock is in this: a lease that is over too early costs work, not rows. A
commit whose outcome is unknown is like one that is still on its way.

Why they are there at least once when it was acknowledged
---------------------------------------------------------
An acknowledgement is sent only by who saw the commit in the table: its own,
guarded one, or one found by its id. A refusal may come after a commit that is
still on its way, or that came through unseen. The row stays pending then, and
the retry finds out.

Why nothing is looked for in vain
---------------------------------
(b) and the search need the snapshot to be in the metadata. Retention (`looked_for`)
reads the ledger after its base and spares every commit that a pending entry
names, displaced ones included. A commit is named before it is made, and once
made and settled it is never named again. Another engine that expires snapshots does
not ask the ledger: it has to keep them for as long as retries may come.

Which table
-----------
An entry belongs to a table by its UUID: where one is dropped and made anew under its
name, the rows are gone, and so their keys and streams are unknown. Before anything is
replayed the catalog is asked which table the name means now. A batch that was let on
by what is known of the former table ends at its commit, which is for that table only.

Streams
-------
The entries of a stream are claimed in order: one that is not next after the
applied ones, counted with those before it in the same claim, is refused. So a
commit holds batches of a stream without a gap, on top of all before them.

What is written where: `entries` the words, `schema` and `engine` the database,
`ledger` its transactions, `once` what becomes of a batch that arrives,
`claims` what goes with a commit, `looked_for` retention, `sweep` the end.
"""
