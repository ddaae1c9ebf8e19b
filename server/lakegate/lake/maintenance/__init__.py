"""What keeps tables pleasant to read: compaction, expiry of snapshots, the sweep for orphans."""
