"""The ledger: which batches are in a table already, so that a retry is no second time.

`once` has the protocol and the argument why it holds.
"""
