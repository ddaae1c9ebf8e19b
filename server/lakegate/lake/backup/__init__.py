"""Backup of a home while it is in use, and its restore, at the same path or at another one.

In order of reading:

- `databases`: the copies of the catalog and the ledger, of one moment;
- `files`: every file that the copied catalog names;
- `save`: the backup;
- `avro_edits`, `relocation`: tables whose files are at another path;
- `restore`: the restore.
"""
