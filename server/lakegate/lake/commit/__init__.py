"""From waiting batches to a snapshot, exactly once."""
